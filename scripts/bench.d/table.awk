# The table of scripts/bench. Each line of input is one measurement, TAB between: stage, program, rows, and where the whole process was
# measured, microseconds, CPU seconds of the user and of the system, peak resident KiB. Figures are medians of the rounds; a ratio is
# the median of the rounds' ratios, each of two neighbours in time.

# Of the rounds of KEY: field FIELD, over the same field of the rounds of BASE if there is one.
function median(key, field, base,   i, j, swap, list, n) {
  n = rounds[key]
  for (i = 1; i <= n; i++) list[i] = base == "" ? figure[key, i, field] : figure[key, i, field] / figure[base, i, field]
  for (i = 2; i <= n; i++) for (j = i; j > 1 && list[j - 1] > list[j]; j--) { swap = list[j]; list[j] = list[j - 1]; list[j - 1] = swap }
  least = list[1]; most = list[n]
  return (list[int((n + 1) / 2)] + list[int(n / 2) + 1]) / 2
}
function seconds(number) { return sprintf(number < 1 ? "%.3f" : "%.2f", number) }
{
  key = $1 " | " $2; i = ++rounds[key]; rows[key] = $3; stage[key] = $1; measured[key] = NF > 4
  if (i == 1) order[++lines] = key
  if ($2 !~ /^list_sync/) limit[$1] = key
  figure[key, i, "s"] = $4 / 1e6; figure[key, i, "cpu"] = $5 + $6; figure[key, i, "mb"] = $7 * 1024 / 1e6
}
END {
  print "| stage | program | s, median | least to most | rows/s | CPU s | peak RSS MB | s / limit |"
  print "|---|---|---|---|---|---|---|---|"
  for (line = 1; line <= lines; line++) {
    key = order[line]; base = limit[stage[key]]; s = median(key, "s")
    printf "| %s | %s | %s | %d | ", key, seconds(s), (rounds[key] > 1 ? seconds(least) " to " seconds(most) : "–"), rows[key] / s
    if (measured[key]) printf "%.2f | %.0f | ", median(key, "cpu"), median(key, "mb"); else printf "– | – | "
    printf "%s |\n", (base == "" ? "–" : base == key ? "limit" : sprintf("%.2f", median(key, "s", base)))
  }
}

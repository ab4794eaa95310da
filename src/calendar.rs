//! The Gregorian calendar, before its introduction too: a day counted from 1970-01-01 as a date, and back.
//!
//! Years begin in March here, so that the leap day is the last of its year, and lie in eras of 400 years
//! (146,097 days) after which the calendar repeats (Howard Hinnant, "chrono-compatible low-level date
//! algorithms"). No library: rows are decoded and encoded through this, and all that is needed is two
//! functions.

/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i32 = 719_468;
const DAYS_OF_ERA: i32 = 146_097;

/// A date. The year is that of astronomers: 0 comes before 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Of the Gregorian calendar.
    pub year: i32,
    /// From 1.
    pub month: u32,
    /// From 1.
    pub day: u32,
}

/// The date of a day counted from 1970-01-01; negative days lie before. For days up to two thousand million
/// on either side.
#[inline]
pub fn date_of(days: i32) -> Date {
    let shifted = days + DAYS_TO_1970;
    let (era, day_of_era) = (shifted.div_euclid(DAYS_OF_ERA), shifted.rem_euclid(DAYS_OF_ERA) as u32);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    Date { year: 400 * era + year_of_era as i32 + i32::from(month <= 2), month, day }
}

/// The inverse of [`date_of`]. A day past the end of its month counts on into the next; the month must be one
/// from 1 to 12.
#[inline]
pub fn days_of(date: Date) -> i32 {
    let (year, month_from_march) =
        if date.month > 2 { (date.year, date.month - 3) } else { (date.year - 1, date.month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days_before_month = (153 * month_from_march + 2) / 5;
    365 * year + leap_days + (days_before_month + date.day) as i32 - 1 - DAYS_TO_1970
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Date, date_of, days_of};

    /// Counts day by day, as a calendar on the wall does.
    fn next(date: Date) -> Date {
        let leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);
        let last = match date.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if date.day < last {
            Date { day: date.day + 1, ..date }
        } else if date.month < 12 {
            Date { month: date.month + 1, day: 1, ..date }
        } else {
            Date { year: date.year + 1, month: 1, day: 1 }
        }
    }

    #[test]
    fn days_become_dates() {
        for (days, (year, month, day)) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (24_855, (2038, 1, 19)),
            (49_710, (2106, 2, 7)),
            (-1, (1969, 12, 31)),
            (-719_528, (0, 1, 1)),
            (-719_529, (-1, 12, 31)),
        ] {
            assert_eq!(date_of(days), Date { year, month, day });
        }
    }

    /// Each day of 1,200 years, around the year 0 and today.
    #[test]
    fn every_day_is_the_one_after_the_day_before() {
        for start in [-600, 1_500] {
            let mut date = Date { year: start, month: 1, day: 1 };
            let first = days_of(date);
            for days in first..first + 3 * 146_097 {
                assert_eq!((date_of(days), days_of(date)), (date, days));
                date = next(date);
            }
        }
    }

    proptest! {
        #[test]
        fn dates_come_back_and_go_on(days in -2_000_000_000..2_000_000_000) {
            let date = date_of(days);
            prop_assert_eq!(days_of(date), days);
            prop_assert_eq!(date_of(days + 1), next(date));
        }

        #[test]
        fn a_day_too_many_counts_into_the_next_month(
            year in -9_999..294_277, month in 1_u32..13, day in 1_u32..100_000,
        ) {
            let first = days_of(Date { year, month, day: 1 });
            prop_assert_eq!(days_of(Date { year, month, day }), first + day as i32 - 1);
        }
    }
}

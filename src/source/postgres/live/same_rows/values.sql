INSERT INTO SCHEMA_.types (id) VALUES (1);
INSERT INTO SCHEMA_.types VALUES (2, -32768, 2147483647, -9223372036854775808, 1.5e-10, 0.1, 123456789012345678901234567890.123, 1.5, true, 4294967295,
  E'quo"te \\ back\nnew\ttab\r\b\f\x01\x1f\x7f é 😀 </script>', 'v', 'c', 'name', '\x00ff10', '2020-02-29', '23:59:59.123', '01:02:03.5+05:30',
  '2020-01-01 00:00:00.120', '2020-01-01 00:00:00.1239', '2020-01-01 00:00:00+05', '1 year -2 days 03:04:05.6', 1234.5,
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a" : [1, null]}', '{"b":2,"a":1.0}', '<a>x</a>', B'101', B'1', '10.0.0.1/8', '10.0.0.0/8',
  '08:00:2b:01:02:03', '(1.5,2)', '{1,2,3}', '(1,1),(0,0)', '<(0,0),1>', '{1,NULL,3}', '{"a,b","q\"x",NULL}', '[1,5)', '{[1,2),[3,4)}',
  'a fat cat', 'fat & cat', 7, '\xbeef', 'ok', '(1,"a b")', '16/B374D848', DEFAULT, '', '7', 'z', 'pg_class');
INSERT INTO SCHEMA_.types (id, f4, f8, n, d, ts, tsz, t, b, r) VALUES (3, 'NaN', '-Infinity', 'NaN', 'infinity', '-infinity', 'infinity', 'NaN', false, 'empty');
INSERT INTO SCHEMA_.types (id, f4, f8, n, ts, tsz, d, at, by, t) VALUES (4, 'Infinity', 1e300, 'Infinity', '0044-03-15 12:00 BC', '294276-12-31 23:59:59.999999+00', '4713-01-01 BC', '{}', '', 'null');
UPDATE SCHEMA_.types SET t = 'changed' WHERE id = 2;
UPDATE SCHEMA_.types SET id = 5 WHERE id = 3;
DELETE FROM SCHEMA_.types WHERE id = 1
-- How long tracks are: one row for each run, market and half minute.
--
-- half_minute counts from 0: 6 stands for 3:00 up to 3:30. A track of several listed albums counts with each. Asked with
-- a filter on load_date, only those partitions are read.
SELECT
  load_date,
  market,
  DIV(duration_ms, 30000) AS half_minute,
  COUNT(*) AS tracks
FROM `${table}`
WHERE duration_ms IS NOT NULL
GROUP BY load_date, market, half_minute

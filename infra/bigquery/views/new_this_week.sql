-- Albums of the newest run that the run before did not list in that market: one row for each market and album.
WITH recent AS (
  SELECT
    load_date, market, album_id, album_name, album_type, release_date,
    COUNT(*) AS tracks, SUM(duration_ms) AS duration_ms
  FROM `${table}`
  WHERE load_date >= DATE_SUB(CURRENT_DATE(), INTERVAL 60 DAY)
  GROUP BY load_date, market, album_id, album_name, album_type, release_date
),
runs AS (
  SELECT load_date, ROW_NUMBER() OVER (ORDER BY load_date DESC) AS age
  FROM (SELECT DISTINCT load_date FROM recent)
)
SELECT newest.*
FROM recent AS newest
JOIN runs AS this_run ON this_run.load_date = newest.load_date AND this_run.age = 1
LEFT JOIN runs AS last_run ON last_run.age = 2
LEFT JOIN recent AS before
  ON before.load_date = last_run.load_date
  AND before.market = newest.market
  AND before.album_id = newest.album_id
WHERE before.album_id IS NULL

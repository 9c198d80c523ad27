-- Albums of the newest run that the last run with the same market did not list there: one row for each market and album.
--
-- compared_with is that run: older than the one before where a run lacked the market. A market without a run before has
-- no rows: it has nothing to be compared with. Runs of the last 60 days are looked at.
WITH recent AS (
  SELECT
    load_date, market, album_id, album_name, album_type, release_date,
    COUNT(*) AS tracks, SUM(duration_ms) AS duration_ms
  FROM `${table}`
  WHERE load_date >= DATE_SUB(CURRENT_DATE(), INTERVAL 60 DAY)
  GROUP BY load_date, market, album_id, album_name, album_type, release_date
),
newest_run AS (SELECT MAX(load_date) AS load_date FROM recent),
last_with_market AS (
  SELECT recent.market, MAX(recent.load_date) AS load_date
  FROM recent
  JOIN newest_run ON recent.load_date < newest_run.load_date
  GROUP BY recent.market
)
SELECT newest.*, last_with_market.load_date AS compared_with
FROM recent AS newest
JOIN newest_run ON newest_run.load_date = newest.load_date
JOIN last_with_market ON last_with_market.market = newest.market
LEFT JOIN recent AS before
  ON before.load_date = last_with_market.load_date
  AND before.market = newest.market
  AND before.album_id = newest.album_id
WHERE before.album_id IS NULL

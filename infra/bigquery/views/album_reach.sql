-- How far a release reaches: one row for each run and album, with all markets that list it.
--
-- only_market is null unless it is one market alone. A market that a run lacks is in none of its rows: `weeks` says which
-- there are. release_day is null where the release date is not a whole day. Asked with a filter on load_date, only those partitions are read.
SELECT
  load_date,
  album_id,
  ARRAY_AGG(DISTINCT market ORDER BY market) AS markets,
  COUNT(DISTINCT market) AS market_count,
  IF(COUNT(DISTINCT market) = 1, MAX(market), NULL) AS only_market,
  MAX(release_day) AS release_day
FROM `${table}`
GROUP BY load_date, album_id

-- Tracks of releases: one row for each run, album and track, with the markets that list it.
--
-- Asked with a filter on load_date, only those partitions are read.
SELECT
  load_date,
  album_id,
  track_id,
  MIN(disc_number) AS disc_number,
  MIN(track_number) AS track_number,
  MAX(track_name) AS track_name,
  MAX(artists) AS artists,
  MAX(ARRAY_TO_STRING(artist_ids, ',')) AS artist_ids,
  MAX(duration_ms) AS duration_ms,
  LOGICAL_OR(explicit) AS is_explicit,
  ARRAY_AGG(DISTINCT market ORDER BY market) AS markets
FROM `${table}`
GROUP BY load_date, album_id, track_id

-- Releases as the markets listed them: one row for each run, market and album.
--
-- artists is the shortest credit among the tracks, which is the album's own, since guests make a credit longer; where a
-- compilation's tracks have mostly different credits it is 'Various artists'. artist_ids are those of the shortest
-- credit, joined by commas. days_since_release and weekday are null where the release date is not a whole day. Asked with a filter on load_date, only those partitions are read.
SELECT
  load_date,
  market,
  album_id,
  MAX(album_name) AS album_name,
  CASE
    WHEN MAX(album_type) = 'compilation' AND COUNT(DISTINCT artists) * 2 > COUNT(*) THEN 'Various artists'
    ELSE ARRAY_AGG(artists ORDER BY LENGTH(artists), disc_number, track_number LIMIT 1)[OFFSET(0)]
  END AS artists,
  ARRAY_AGG(ARRAY_TO_STRING(artist_ids, ',') ORDER BY LENGTH(artists), disc_number, track_number LIMIT 1)[OFFSET(0)] AS artist_ids,
  MAX(album_type) AS album_type,
  MAX(release_date) AS release_date,
  MAX(release_day) AS release_day,
  MAX(release_date_precision) AS release_date_precision,
  FORMAT_DATE('%A', MAX(release_day)) AS weekday,
  DATE_DIFF(load_date, MAX(release_day), DAY) AS days_since_release,
  COUNT(*) AS tracks,
  SUM(duration_ms) AS duration_ms,
  COUNTIF(explicit) AS explicit_tracks,
  MAX(image_url) AS image_url
FROM `${table}`
GROUP BY load_date, market, album_id

-- Releases by artist: one row for each run, artist and release that has a track of theirs, with the markets that list it.
--
-- Asked with a filter on load_date, only those partitions are read.
SELECT
  load_date,
  artist_id,
  album_id,
  MAX(album_name) AS album_name,
  MAX(album_type) AS album_type,
  MAX(release_date) AS release_date,
  MAX(image_url) AS image_url,
  ARRAY_AGG(DISTINCT market ORDER BY market) AS markets
FROM `${table}`, UNNEST(artist_ids) AS artist_id
GROUP BY load_date, artist_id, album_id

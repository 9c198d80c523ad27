#!/bin/sh
# Has Cloud Build make the images of a tag, unless all of them are there: going back to an earlier version is an earlier
# tag and an apply. Called by images.tf, which sets BUILD, IMAGES, PREFIX, PROJECT and TAG.
set -u

found='' missing=''
for image in $IMAGES; do
  if gcloud artifacts docker images describe "$PREFIX/$image:$TAG" --project="$PROJECT" >/dev/null 2>&1; then
    found="$found $image"
  else
    missing="$missing $image"
  fi
done

[ -n "$missing" ] || exit 0
if [ -n "$found" ]; then
  echo "image_tag $TAG is there in part: without$missing. A tag is never pushed again; set a new image_tag and apply." >&2
  exit 1
fi

# The second try is for the first apply: rights that were given a moment ago are not known everywhere at once.
$BUILD || { sleep "${PAUSE:-90}" && $BUILD; }

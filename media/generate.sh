#!/bin/sh
# Makes the sample media under media/stream from ffmpeg's own test sources.
#
# The result is committed; run this only to change it. The same ffmpeg on the
# same kind of processor gives the same bytes: one thread per encoder, bitexact
# muxers, no metadata, no clock. Written and last run with Debian's ffmpeg 5.1
# and x264 0.164.
#
# BANDWIDTH and AVERAGE-BANDWIDTH in the multivariant playlists are measured
# from the segments that were made (RFC 8216, 4.3.4.2), never guessed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/stream}
limit=3000000                      # bytes, the whole tree

rate=25                            # frames per second
segment=2                          # seconds; a key frame opens every segment
gop=$((rate * segment))

command -v ffmpeg >/dev/null || { echo "generate.sh: ffmpeg is not installed" >&2; exit 1; }

ff() { ffmpeg -hide_banner -loglevel error -nostdin -y -threads 1 -filter_threads 1 "$@"; }

# An AAC encoder puts one frame (1024 samples, 21.3 ms) before the sound; what it
# is given is that much shorter, so that no stub of a segment ends the list.
sound() { awk "BEGIN { printf \"%.3f\", $1 - 0.022 }"; }

# Two tones that beat slowly, left and right apart: audible, and small.
tones() { echo "aevalsrc='0.2*sin(2*PI*220*t)*(0.6+0.4*sin(PI*t))|0.2*sin(2*PI*330*t)*(0.6+0.4*cos(PI*t))':s=48000:d=$(sound "$1")"; }
# Pink noise, left and right apart: it does not compress, so the bitrates of a music
# service are really used up.
music() {
  d=$(sound "$1")
  echo "anoisesrc=c=pink:r=48000:a=0.3:seed=1:d=$d[left];anoisesrc=c=pink:r=48000:a=0.3:seed=2:d=$d[right];[left][right]amerge=inputs=2"
}

# Encoder settings: size, bitrate, profile, level. No B-frames: they would delay
# the picture against the renditions that are sound alone (RFC 8216, 6.2.4 asks for
# matching timestamps).
video() {
  echo "-vf scale=$1:flags=bicubic,format=yuv420p -c:v libx264 -preset veryslow -profile:v $3 -level:v $4 \
    -b:v $2 -maxrate $2 -bufsize $2 -g $gop -keyint_min $gop -sc_threshold 0 -bf 0 -x264-params threads=1:lookahead-threads=1 \
    -flags:v +bitexact"
}
audio() { echo "-c:a aac -b:a $1 -ac 2 -ar 48000 -flags:a +bitexact"; }
exact="-map_metadata -1 -fflags +bitexact"

# hls TYPE EXT DIR: arguments that make a VOD playlist of 2 s segments in DIR.
hls() {
  echo "$exact -f hls -hls_time $segment -hls_playlist_type vod -hls_flags independent_segments \
    -hls_segment_type $1 -hls_fmp4_init_filename init.mp4 -hls_segment_filename $3/%03d.$2 $3/index.m3u8"
}

# measure DIR: "PEAK AVERAGE" in bits per second, over the playlist's segments.
measure() {
  awk -v dir="$1" '
    /^#EXTINF:/ { sub(/^#EXTINF:/, ""); sub(/,.*/, ""); d = $0 + 0; next }
    /^[^#]/ { cmd = "wc -c < " dir "/" $0; cmd | getline n; close(cmd)
      bits += n * 8; time += d; b = n * 8 / d; if (d >= 1 && b > peak) peak = b }
    END { printf "%d %d\n", peak + 1, bits / time + 1 }' "$1/index.m3u8"
}

# bandwidth DIR...: the sums for renditions that are played together.
bandwidth() {
  for dir in "$@"; do measure "$dir"; done | awk '{ peak += $1; mean += $2 } END { print peak, mean }'
}

# variant DIR CODECS [RESOLUTION [EXTRA [DIR]]]: one EXT-X-STREAM-INF and its URI;
# the second DIR is the audio rendition that belongs to it.
variant() {
  set -- "$1" "$2" "${3:-}" "${4:-}" $(bandwidth "$1" ${5:+"$5"})
  printf '#EXT-X-STREAM-INF:BANDWIDTH=%s,AVERAGE-BANDWIDTH=%s,CODECS="%s"' "$5" "$6" "$2"
  [ -z "$3" ] || printf ',RESOLUTION=%s,FRAME-RATE=%s.000' "$3" "$rate"
  printf '%s\n%s/index.m3u8\n' "$4" "$(basename "$1")"
}

head_of() { printf '#EXTM3U\n#EXT-X-VERSION:%s\n#EXT-X-INDEPENDENT-SEGMENTS\n' "$1"; }

rm -rf "$out"
mkdir -p "$out/demo/360p" "$out/demo/180p" "$out/demo/audio" \
  "$out/demo-fmp4/270p" "$out/demo-fmp4/sound" \
  "$out/track/96k" "$out/track/160k" "$out/track/320k"

# demo: two video renditions with sound, one of sound alone; MPEG-TS.
long=24
# shellcheck disable=SC2046
ff -f lavfi -i "testsrc2=s=640x360:r=$rate:d=$long" -f lavfi -i "$(tones $long)" \
  -map 0:v -map 1:a $(video 640:360 160k main 3.0) $(audio 40k) $(hls mpegts ts "$out/demo/360p") \
  -map 0:v -map 1:a $(video 320:180 56k main 2.0) $(audio 40k) $(hls mpegts ts "$out/demo/180p") \
  -map 1:a $(audio 40k) $(hls mpegts ts "$out/demo/audio")
{
  head_of 3
  variant "$out/demo/360p" "avc1.4d401e,mp4a.40.2" 640x360
  variant "$out/demo/180p" "avc1.4d4014,mp4a.40.2" 320x180
  variant "$out/demo/audio" "mp4a.40.2"
} > "$out/demo/master.m3u8"

# demo-fmp4: video and sound apart, as fragmented MP4 with EXT-X-MAP.
short=12
# shellcheck disable=SC2046
ff -f lavfi -i "testsrc2=s=480x270:r=$rate:d=$short" -f lavfi -i "$(tones $short)" \
  -map 0:v $(video 480:270 100k main 2.1) $(hls fmp4 m4s "$out/demo-fmp4/270p") \
  -map 1:a $(audio 40k) $(hls fmp4 m4s "$out/demo-fmp4/sound")
{
  head_of 7
  printf '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="Tones",LANGUAGE="zxx",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="sound/index.m3u8"\n'
  variant "$out/demo-fmp4/270p" "avc1.4d4015,mp4a.40.2" 480x270 ',AUDIO="sound"' "$out/demo-fmp4/sound"
} > "$out/demo-fmp4/master.m3u8"

# track: sound alone at the three bitrates of a music service; MPEG-TS.
song=10
for kbps in 96 160 320; do
  # shellcheck disable=SC2046
  ff -f lavfi -i "$(music $song)" -map 0:a $(audio ${kbps}k) $(hls mpegts ts "$out/track/${kbps}k")
done
{
  head_of 3
  for kbps in 320 160 96; do variant "$out/track/${kbps}k" "mp4a.40.2"; done
} > "$out/track/master.m3u8"

total=$(find "$out" -type f -exec cat {} + | wc -c)
echo "$total bytes in $(find "$out" -type f | wc -l) files"
[ "$total" -le "$limit" ] || { echo "generate.sh: more than $limit bytes" >&2; exit 1; }

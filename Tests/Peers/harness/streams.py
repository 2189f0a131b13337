"""HLS streams of the kinds people serve, made by ffmpeg: six seconds of test picture, small and quick to decode."""

import os

from .processes import run

SECONDS = 6
RATE = 15
FRAMES = SECONDS * RATE

_PICTURE = ["-f", "lavfi", "-i", f"testsrc2=size=320x180:rate={RATE}:duration={SECONDS}"]
_VIDEO = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", str(RATE), "-sc_threshold", "0"]
_AUDIO = ["-c:a", "aac", "-b:a", "64k"]
_HLS = ["-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod"]

#: Folder and playlist of each stream, as their origin serves them.
PLAYLISTS = {
    "TS": "ts/index.m3u8",
    "fMP4": "fmp4/index.m3u8",
    "AES-128": "aes/index.m3u8",
    "byte ranges in TS": "ranges/index.m3u8",
    "byte ranges in fMP4": "ranges-fmp4/index.m3u8",
    "several audios and subtitles": "master/master.m3u8",
}


def _tone(frequency):
    return ["-f", "lavfi", "-i", f"sine=frequency={frequency}:duration={SECONDS}"]


def _ffmpeg(folder, *arguments):
    folder.mkdir()
    run(["ffmpeg", "-nostdin", "-v", "error", *arguments], folder=folder)


def make_all(folder):
    plain = [*_PICTURE, *_tone(440), *_VIDEO, *_AUDIO, *_HLS]
    _ffmpeg(folder / "ts", *plain, "-hls_segment_filename", "part%d.ts", "index.m3u8")
    _ffmpeg(
        folder / "fmp4", *plain, "-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4",
        "-hls_segment_filename", "part%d.m4s", "index.m3u8",
    )
    _ffmpeg(folder / "ranges", *plain, "-hls_flags", "single_file", "index.m3u8")
    _ffmpeg(folder / "ranges-fmp4", *plain, "-hls_flags", "single_file", "-hls_segment_type", "fmp4", "index.m3u8")
    _make_encrypted(folder / "aes", plain)
    _make_master(folder / "master")


def _make_encrypted(folder, plain):
    key = folder.with_name("aes.key")
    key.write_bytes(os.urandom(16))
    # First line: the key's URI in the playlist, relative on purpose.
    information = folder.with_name("aes.keyinfo")
    information.write_text(f"secret.key\n{key}\n{os.urandom(16).hex()}\n")
    _ffmpeg(folder, *plain, "-hls_key_info_file", information, "-hls_segment_filename", "part%d.ts", "index.m3u8")
    (folder / "secret.key").write_bytes(key.read_bytes())


def _make_master(folder):
    subtitles = folder.with_name("subtitles.srt")
    cues = (f"{n + 1}\n00:00:0{n},000 --> 00:00:0{n + 1},000\nSecond {n}\n" for n in range(SECONDS))
    subtitles.write_text("\n".join(cues))
    _ffmpeg(
        folder, *_PICTURE, *_tone(440), *_tone(660), "-i", subtitles,
        "-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:s", *_VIDEO, *_AUDIO, "-c:s", "webvtt", *_HLS,
        "-var_stream_map",
        "v:0,agroup:sound,s:0,sgroup:words,language:eng a:0,agroup:sound,language:eng,default:yes"
        " a:1,agroup:sound,language:deu",
        "-master_pl_name", "master.m3u8", "-hls_segment_filename", "stream%v_%d.ts", "stream%v.m3u8",
    )

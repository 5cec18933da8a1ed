// Plays /master.m3u8 with its captions. Where Media Source Extensions take MPEG-TS (Chromium, since it knows HLS, of
// which it shows no subtitles), segments are appended here, and the cues of the WebVTT renditions put into text tracks.
// Elsewhere the browser is left to play HLS by itself (Safari).
"use strict";

const KEEP = 30;                // seconds behind the picture that stay in memory
const DELAY = 2;                // segments between the newest and the picture
const video = document.querySelector("video");
const select = document.querySelector("select");
const say = text => document.getElementById("status").textContent = text;
const sleep = ms => new Promise(done => setTimeout(done, ms));

async function get(name, how) {
  const response = await fetch(name, { cache: "no-store" });
  if (!response.ok)
    throw new Error(`${name}: ${response.status}`);
  return response[how]();
}

const attribute = (line, name) => line.match(new RegExp(`[:,]${name}="?([^",]*)`))?.[1];

function parsePlaylist(text) {
  const lines = text.split("\n").map(line => line.trim());
  const value = tag => lines.find(line => line.startsWith(tag + ":"))?.slice(tag.length + 1);
  let number = Number(value("#EXT-X-MEDIA-SEQUENCE") ?? 0), duration = 0;
  const segments = [];
  for (const line of lines)
    if (line.startsWith("#EXTINF:"))
      duration = parseFloat(line.slice(8));
    else if (line && !line.startsWith("#"))
      segments.push({ number: number++, duration, name: line });
  const ended = lines.includes("#EXT-X-ENDLIST");
  return { segments, ended, target: Number(value("#EXT-X-TARGETDURATION") ?? 1), lines };
}

// ---- captions --------------------------------------------------------------------------------------------

const seconds = time => time.split(":").reduce((sum, part) => 60 * sum + parseFloat(part), 0);

// Cues, and the MPEG-TS time of their time 0, all in seconds.
function parseVtt(text) {
  const map = text.match(/^X-TIMESTAMP-MAP=LOCAL:([\d:.]+),MPEGTS:(\d+)/m);
  const cues = [];
  for (const block of text.split(/\n\n+/)) {
    const cue = block.match(/([\d:.]+) --> ([\d:.]+).*\n([^]+)/);
    if (cue)
      cues.push({ start: seconds(cue[1]), end: seconds(cue[2]), text: cue[3].trim() });
  }
  return { cues, zero: map ? Number(map[2]) / 90000 - seconds(map[1]) : 0 };
}

class Captions {
  constructor(line) {
    this.name = attribute(line, "NAME");
    this.uri = attribute(line, "URI");
    this.track = video.addTextTrack("subtitles", this.name, attribute(line, "LANGUAGE"));
    this.track.mode = attribute(line, "DEFAULT") == "YES" ? "showing" : "hidden";
    this.number = -1;           // of the newest segment that was read
    this.seen = new Set();      // of cues; one that goes on is in several segments
    this.zero = 0;
    const list = document.querySelector("section").appendChild(document.createElement("div"));
    list.appendChild(document.createElement("h2")).textContent = this.name;
    this.track.oncuechange = () => {
      for (const cue of this.track.activeCues)
        list.appendChild(document.createElement("p")).textContent = cue.getCueAsHTML().textContent;
      while (list.children.length > 4)
        list.children[1].remove();
    };
  }

  // Reads what is new. Segments are cut at multiples of their duration, so the number of the newest tells how far
  // captions are known.
  async update() {
    const { segments, ended, target } = parsePlaylist(await get(this.uri, "text"));
    for (const { name, number } of segments.filter(segment => segment.number > this.number)) {
      const { cues, zero } = parseVtt(await get(name, "text"));
      this.zero = zero;
      for (const { start, end, text } of cues) {
        const key = `${start} ${text}`;
        if (!this.seen.has(key))
          this.track.addCue(new VTTCue(start, end, text));
        this.seen.add(key);
      }
      this.number = number;
      this.known = (number + 1) * target;
    }
    if (ended)
      this.known = Infinity;
    for (const cue of [...this.track.cues])
      if (cue.endTime < video.currentTime - KEEP) {
        this.seen.delete(`${cue.startTime} ${cue.text}`);
        this.track.removeCue(cue);
      }
  }
}

function offerTracks() {
  const tracks = [...video.textTracks];
  for (const track of tracks)
    select.add(new Option(track.label, track.label, false, track.mode == "showing"));
  select.onchange = () => tracks.forEach(t => t.mode = t.label == select.value ? "showing" : "hidden");
}

// ---- the picture ---------------------------------------------------------------------------------------------

async function append(buffer, data) {
  const done = new Promise((resolve, reject) => { buffer.onupdateend = resolve; buffer.onerror = reject; });
  buffer.appendBuffer(data);
  await done;
}

async function forget(buffer) {
  const end = video.currentTime - KEEP;
  if (!buffer.buffered.length || buffer.buffered.start(0) >= end)
    return;
  const done = new Promise(resolve => { buffer.onupdateend = resolve; });
  buffer.remove(0, end);
  await done;
}

async function play(master, type) {
  const captions = master.lines.filter(line => line.startsWith("#EXT-X-MEDIA:TYPE=SUBTITLES"))
    .map(line => new Captions(line));
  const source = new MediaSource();
  let buffer, next;
  offerTracks();
  video.src = URL.createObjectURL(source);
  await new Promise(resolve => source.addEventListener("sourceopen", resolve, { once: true }));
  while (source.readyState == "open")
    try {
      await sleep(300);
      for (const one of captions)
        await one.update();
      const { segments, ended } = parsePlaylist(await get(master.segments[0].name, "text"));
      next ??= (ended ? segments[0] : segments.at(-DELAY))?.number;
      const known = Math.min(...captions.map(one => one.known ?? 0));
      const segment = segments.find(one => one.number >= next);
      const end = buffer?.buffered.length ? buffer.buffered.end(buffer.buffered.length - 1) : 0;
      if (!segment && ended)
        source.endOfStream();
      if (!segment || end + segment.duration > known + 1)
        continue;               // a picture is not shown before its captions are known
      const data = await get(segment.name, "arrayBuffer");
      buffer ??= source.addSourceBuffer(type);
      if (!buffer.buffered.length)
        buffer.timestampOffset = -captions[0].zero;     // the video's time is that of the cues
      await append(buffer, data);
      next = segment.number + 1;
      const ranges = buffer.buffered;
      if (ranges.length && video.currentTime < ranges.start(0))
        video.currentTime = ranges.start(0);
      if (!ended)
        await forget(buffer);
      say("");
    } catch (error) {
      say(error.message);
    }
}

async function start() {
  const master = parsePlaylist(await get("master.m3u8", "text"));
  const type = `video/mp2t; codecs="${master.lines.join("\n").match(/CODECS="([^"]*)"/)?.[1]}"`;
  if (window.MediaSource?.isTypeSupported(type)) {
    await play(master, type);
  } else if (video.canPlayType("application/vnd.apple.mpegurl")) {
    video.src = "master.m3u8";
    video.textTracks.onaddtrack = () => { select.length = 1; offerTracks(); };
  } else {
    say("This browser plays neither HLS nor MPEG-TS: take a recent Chromium, or Safari.");
  }
}

start().catch(error => say(error.message));

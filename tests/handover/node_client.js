// A process that moves its state with Aeterna, in Node: all of docs/reference/srp.md that another language needs.
//
// Node can neither send nor receive descriptors, so its state travels in chunks. `Client` is what an application would
// use; below it is the program that the tests run, which evaluates the lines it reads.
"use strict";
const crypto = require("node:crypto");
const fs = require("node:fs");
const net = require("node:net");
const { once } = require("node:events");

const MAGIC = 0xae7e2024;
const VERSION = 1;
const HEADER_BYTES = 12;
const CHUNK_BYTES_MAX = 1024 * 1024;
const GIVEN_BYTES = 128 * 1024; // smaller chunks than may be: the supervisor stores one while the next one is on its way
const OPTIONAL = 1;
const T = {
  HELLO: 0x01, REQUEST: 0x10, PRECOPY: 0x11, QUIESCE: 0x12, QUIESCED: 0x13, PART: 0x20, CHUNK: 0x21, END: 0x22,
  RESTORE: 0x30, RESTORED: 0x31, NACK: 0x32, ACCEPT: 0x40, ACCEPTING: 0x41, STANDBY: 0x42, RESUME: 0x43, RESUMED: 0x44,
  LEASE: 0x45, DRAIN: 0x50, DRAINED: 0x51, RELEASE: 0x60, PING: 0x70, PONG: 0x71, STATUS: 0x72, ACK: 0xff,
};

function encode(type, payload = Buffer.alloc(0), flags = 0) {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(HEADER_BYTES - 4 + payload.length, 0);
  header.writeUInt32BE(MAGIC, 4);
  header.writeUInt8(VERSION, 8);
  header.writeUInt8(type, 9);
  header.writeUInt16BE(flags, 10);
  return Buffer.concat([header, payload]);
}

/** Feed it bytes as they come; it gives whole frames, or throws. */
class Decoder {
  constructor() {
    this.pieces = [];
    this.size = 0;
    this.needed = HEADER_BYTES;
  }

  *feed(data) {
    this.pieces.push(data);
    this.size += data.length;
    while (this.size >= this.needed) {
      const whole = this.pieces.length === 1 ? this.pieces[0] : Buffer.concat(this.pieces);
      this.needed = this.bytesOf(whole);
      this.pieces = [whole];
      if (whole.length < this.needed) return;
      yield {
        type: whole.readUInt8(9),
        flags: whole.readUInt16BE(10),
        payload: whole.subarray(HEADER_BYTES, this.needed),
      };
      this.pieces = [whole.subarray(this.needed)];
      this.size = whole.length - this.needed;
      this.needed = HEADER_BYTES;
    }
  }

  /** How long the frame is; throws what is wrong with its header. */
  bytesOf(header) {
    const length = header.readUInt32BE(0);
    if (header.readUInt32BE(4) !== MAGIC) throw new Error("bad magic");
    if (header.readUInt8(8) !== VERSION) throw new Error("unknown version");
    if (length < HEADER_BYTES - 4) throw new Error("length too small");
    if (length - (HEADER_BYTES - 4) > CHUNK_BYTES_MAX) throw new Error("length over the limit");
    return 4 + length;
  }
}

/**
 * One process's end. `parts`: name -> {codec, version, dump() -> Buffer, load(Buffer)}; a load that throws changes
 * nothing and aborts the handover.
 */
class Client {
  constructor(parts, env = process.env) {
    this.parts = parts;
    this.env = env;
    const isCandidate = env.AETERNA_ROLE === "candidate";
    this.hasLease = !isCandidate;
    this.role = isCandidate && env.AETERNA_STATE_MODE === "exclusive" ? "paused" : "active";
    this.txn = 0;
    this.turn = 0;
    this.waitMs = 20;
    this.connect();
  }

  connect() {
    const decoder = new Decoder();
    this.arrived = {};
    this.receiving = null;
    this.restored = {};
    this.socket = net.connect(this.env.AETERNA_STATE_SOCK, () => this.hello());
    this.socket.on("error", () => {});
    this.socket.on("data", (data) => {
      try {
        for (const frame of decoder.feed(data)) this.handle(frame);
      } catch {
        this.socket.destroy();
      }
    });
    this.socket.on("close", () => {
      this.turn += 1;
      setTimeout(() => this.connect(), this.waitMs);
      this.waitMs = Math.min(this.waitMs * 2, 500);
    });
  }

  hello() {
    const parts = Object.entries(this.parts).map(([part, { codec, version }]) => ({ part, codec, version }));
    this.send(T.HELLO, {
      generation: Number(this.env.AETERNA_GENERATION), token: this.env.AETERNA_INSTANCE, fds: false,
      role: this.hasLease ? "active" : "candidate", gate: this.role, lease: this.hasLease, parts,
    });
  }

  send(type, body) {
    return this.socket.write(encode(type, Buffer.from(JSON.stringify(body))));
  }

  handle({ type, flags, payload }) {
    this.waitMs = 20;
    if (type === T.CHUNK) return this.chunk(payload);
    const body = payload.length ? JSON.parse(payload) : {};
    if (body.txn && body.txn < this.txn) return; // of an earlier handover
    this.txn = Math.max(this.txn, body.txn || 0);
    if (type !== T.PING && type !== T.STATUS) this.turn += 1; // whatever was being sent is not wanted any more
    const about = { txn: body.txn || 0, re: body.re };
    switch (type) {
      case T.ACK: return;
      case T.PING: return this.send(T.PONG, { ...about, inflight: 0, gate: this.role });
      case T.STATUS: return this.send(T.STATUS, { ...about, gate: this.role, restored: this.restored });
      case T.PRECOPY: return this.send(T.END, { ...about, ahead: true, bytes: 0 }); // nothing is passed uncopied
      case T.QUIESCE: this.role = "paused"; return this.send(T.QUIESCED, { ...about, inflight: 0 });
      case T.REQUEST: return this.give(about, body.digest, this.turn);
      case T.PART: this.receiving = { name: body.part, left: body.bytes, pieces: [] }; return this.complete();
      case T.RESTORE: return this.restore(about, body);
      case T.ACCEPT: this.role = "active"; return this.send(T.ACCEPTING, about);
      case T.STANDBY: this.role = "standby"; return this.send(T.ACK, { ...about, of: type });
      case T.RESUME: this.role = "active"; return this.send(T.RESUMED, about);
      case T.LEASE: this.hasLease = body.granted; return this.send(T.ACK, { ...about, of: type });
      case T.DRAIN: return this.send(T.DRAINED, { ...about, inflight: 0 });
      case T.RELEASE: return this.send(T.ACK, { ...about, of: type });
      default:
        if (!(flags & OPTIONAL)) this.send(T.NACK, { ...about, code: "unknown", text: `frame type ${type} is not known` });
    }
  }

  /** Send the state. Between two chunks it looks whether it is still wanted, so that a RESUME never waits for it. */
  async give(about, algorithm, turn) {
    const digests = {};
    try {
      for (const [part, { codec, version, dump }] of Object.entries(this.parts)) {
        const data = dump();
        digests[part] = digestOf(data, algorithm);
        this.send(T.PART, { ...about, part, codec, version, bytes: data.length, live: false, chunks: true });
        for (let start = 0; start < data.length; start += GIVEN_BYTES) {
          if (turn !== this.turn) return;
          const isRoom = this.socket.write(encode(T.CHUNK, data.subarray(start, start + GIVEN_BYTES)));
          if (!isRoom) await Promise.race([once(this.socket, "drain"), once(this.socket, "close")]);
        }
      }
    } catch (error) {
      this.send(T.NACK, { ...about, code: "dump", text: String(error) });
      return;
    }
    if (turn === this.turn) this.send(T.END, { ...about, digests });
  }

  chunk(payload) {
    if (this.receiving === null) return;
    this.receiving.pieces.push(payload);
    this.receiving.left -= payload.length;
    this.complete();
  }

  complete() {
    if (this.receiving.left > 0) return;
    this.arrived[this.receiving.name] = Buffer.concat(this.receiving.pieces);
    this.receiving = null;
  }

  /** Check everything before anything is changed. */
  restore(about, { parts, digests, digest_by: algorithm }) {
    const arrived = this.arrived;
    this.arrived = {};
    try {
      const taken = parts.filter(({ part }) => part in this.parts);
      for (const { part, codec, version } of taken) {
        const mine = this.parts[part];
        if (!(part in arrived)) throw new Error(`part '${part}' was announced and has not arrived`);
        if (codec !== mine.codec || version !== mine.version)
          throw new Error(`part '${part}' is ${codec}/${version}, this code takes ${mine.codec}/${mine.version}`);
        const digest = digestOf(arrived[part], algorithm);
        if (digest && digests[part] && digest !== digests[part]) throw new Error(`part '${part}' has digest ${digest}`);
      }
      const puts = taken.map(({ part }) => this.parts[part].load(arrived[part]));
      for (const put of puts) put();
      const dropped = parts.map(({ part }) => part).filter((part) => !(part in this.parts));
      this.restored = { digests, dropped };
      this.send(T.RESTORED, { ...about, ...this.restored });
    } catch (error) {
      this.send(T.NACK, { ...about, code: "load", text: String(error) });
    }
  }
}

/** Node has SHA-256; who has no XXH3 sends no digest, and the supervisor computes it. */
function digestOf(data, algorithm) {
  return algorithm === "sha256" ? crypto.createHash("sha256").update(data).digest("hex") : undefined;
}

// --- the program of the tests ---------------------------------------------------------------------------------------

/** Print what this file makes of each test vector: its bytes again, or what is wrong with them. */
function checkVectors(path) {
  const { frames, refused } = JSON.parse(fs.readFileSync(path));
  for (const { bytes } of [...frames, ...refused]) {
    try {
      const found = [...new Decoder().feed(Buffer.from(bytes, "hex"))];
      const again = found.map(({ type, flags, payload }) => encode(type, payload, flags));
      console.log(JSON.stringify([Buffer.concat(again).toString("hex"), ...found.map(({ type, flags }) => [type, flags])]));
    } catch (error) {
      console.log(JSON.stringify(error.message));
    }
  }
}

function main() {
  let sessions = {};
  let blob = Buffer.alloc(0);
  const client = new Client({
    sessions: {
      codec: "json", version: 1,
      dump: () => Buffer.from(JSON.stringify(sessions)),
      load: (data) => {
        const loaded = JSON.parse(data);
        return () => { sessions = loaded; };
      },
    },
    blob: { codec: "raw", version: 1, dump: () => blob, load: (data) => () => { blob = data; } },
  });
  console.log("up");
  require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
    const found = eval(line);
    console.log(JSON.stringify(JSON.stringify(found === undefined ? null : found)));
  }).on("close", () => process.exit(0));
  return client;
}

if (process.argv[2] === "--vectors") checkVectors(process.argv[3]);
else main();

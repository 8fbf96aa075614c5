/** @typedef {{path: string, file: Blob}} Entry */

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const VERSION = 20;
const UTF8_NAMES = 0x0800;
const FIRST_DAY = 0x21; // 1 January 1980: the same files always make the same bytes
const PIECE = 4 * 1024 * 1024;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) {
    value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return value;
});

/** The CRC-32 of a file, read piece by piece. */
async function checksum(file) {
  let crc = 0xffffffff;
  for (let start = 0; start < file.size; start += PIECE) {
    const bytes = new Uint8Array(await file.slice(start, start + PIECE).arrayBuffer());
    for (const byte of bytes) {
      crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
    }
  }
  return ~crc >>> 0;
}

/** Numbers in little-endian order, each [bytes, value]. */
function numbers(...fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [bytes]) => sum + bytes, 0)));
  let at = 0;
  for (const [bytes, value] of fields) {
    if (bytes === 2) {
      view.setUint16(at, value, true);
    } else {
      view.setUint32(at, value, true);
    }
    at += bytes;
  }
  return view.buffer;
}

/**
 * The files as one zip without compression. It refers to them: nothing is copied into memory.
 * @param {Entry[]} entries
 * @param {(done: number, total: number) => void} progress
 */
export async function zipOf(entries, progress) {
  const sorted = [...entries].sort((one, other) => (one.path < other.path ? -1 : 1));
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [index, { path, file }] of sorted.entries()) {
    const name = new TextEncoder().encode(path);
    const crc = await checksum(file);
    const common = [
      [2, VERSION],
      [2, UTF8_NAMES],
      [2, 0],
      [2, 0],
      [2, FIRST_DAY],
      [4, crc],
      [4, file.size],
      [4, file.size],
      [2, name.length],
      [2, 0],
    ];
    const head = numbers([4, LOCAL], ...common);
    parts.push(head, name, file);
    const rest = [[2, 0], [2, 0], [2, 0], [4, 0], [4, offset]];
    directory.push(numbers([4, CENTRAL], [2, VERSION], ...common, ...rest), name);
    offset += head.byteLength + name.length + file.size;
    progress(index + 1, sorted.length);
  }
  const directoryBytes = directory.reduce((sum, part) => sum + part.byteLength, 0);
  const count = sorted.length;
  const end = numbers(
    [4, END], [2, 0], [2, 0], [2, count], [2, count], [4, directoryBytes], [4, offset], [2, 0],
  );
  return new Blob([...parts, ...directory, end]);
}

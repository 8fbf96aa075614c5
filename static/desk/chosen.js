/** What was chosen or dropped for one field, and what is wrong with it before it is sent. */

const LITTER = /(^|\/)(\.DS_Store|Thumbs\.db|desktop\.ini|\._[^/]*)$/;
const ZIP = /\.zip$/i;

/** @typedef {{name: string, zip: File | null, entries: import("./zip.js").Entry[]}} Choice */

/** What one field chose: one zip, or the files of a folder with their paths below it. */
export function choiceOf(files) {
  const kept = [...files].filter(({ file, path }) => file.size > 0 && !LITTER.test(path));
  if (kept.length === 1 && ZIP.test(kept[0].path)) {
    return { name: kept[0].file.name, zip: kept[0].file, entries: [] };
  }
  const top = kept.length > 0 ? kept[0].path.split("/")[0] : "";
  const isFolder = kept.every(({ path }) => path.startsWith(`${top}/`));
  const below = (path) => (isFolder ? path.slice(top.length + 1) : path);
  return {
    name: isFolder ? top : "files",
    zip: null,
    entries: kept.map(({ file, path }) => ({ file, path: below(path) })),
  };
}

/** The files of a dropped item, with their paths; a folder is walked through. */
export async function dropped(item, path = "") {
  if (item.isFile) {
    const file = await new Promise((resolve, reject) => item.file(resolve, reject));
    return [{ file, path: path + item.name }];
  }
  const reader = item.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) {
      return found;
    }
    for (const child of some) {
      found.push(...(await dropped(child, `${path}${item.name}/`)));
    }
  }
}

/** The bytes of it. */
export function sizeOf({ zip, entries }) {
  return zip === null ? entries.reduce((sum, { file }) => sum + file.size, 0) : zip.size;
}

// What each kind of delivery must hold, as far as names can tell.
const MUST_HOLD = {
  batch: {
    isIt: (path) => /^([^/]+\/)?batch\.json$/.test(path),
    words: "holds no batch.json: choose what plainsight-ml batch wrote, the folder or its zip.",
  },
  folders: {
    isIt: (path) => /\.png$/i.test(path),
    words: "holds no PNG: save the images as 8-bit RGB PNG, and choose the folder that holds them.",
  },
  manifest: {
    isIt: (path) => /^([^/]+\/)?manifest\.csv$/.test(path),
    words: "holds no manifest.csv: put the table beside the images, and choose their folder.",
  },
};

/**
 * What is wrong with a choice and what to do, or "" when nothing can be seen yet: what is inside
 * a zip is for the server.
 *
 * @param {Choice} choice
 * @param {keyof typeof MUST_HOLD} kind
 */
export function wrongIn({ name, zip, entries }, kind) {
  if (zip !== null) {
    return "";
  }
  if (entries.length === 0) {
    return "There is no file in it.";
  }
  if (entries.every(({ path }) => ZIP.test(path))) {
    return "Choose one zip for this field, not several.";
  }
  const { isIt, words } = MUST_HOLD[kind];
  const what = entries.length === 1 ? entries[0].path : name;
  return entries.some(({ path }) => isIt(path)) ? "" : `${what} ${words}`;
}

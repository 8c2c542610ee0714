// What a test gave this script, and the way to tell it something: one line of JSON.
export const given = JSON.parse(process.argv[2]);

export function tell(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

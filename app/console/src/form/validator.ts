import { Validator, type OutputUnit, type Schema } from "@cfworker/json-schema";
import { ErrorSchemaBuilder, type ErrorSchema, type RJSFSchema, type RJSFValidationError, type ValidatorType } from "@rjsf/utils";

import type { Dictionary } from "../i18n/en";
import type { Language } from "../i18n/language";
import { quantity } from "../i18n/units";
import { nodeAt, unitOf } from "./schema";

/** Errors of these keywords only say that there is one further inside. */
const OUTER = new Set(["properties", "items", "prefixItems", "$ref", "allOf", "additionalItems"]);

/**
 * Validation for rjsf by a validator that interprets the schema.
 *
 * rjsf's own, ajv, compiles schemas with `new Function`, which the page's Content-Security-Policy forbids, and rightly so.
 */
export function validatorIn(words: Dictionary, lang: Language): ValidatorType {
  return {
    validateFormData(formData: unknown, schema: RJSFSchema) {
      const errors = problemsOf(formData, schema, words, lang);
      return { errors, errorSchema: errorSchemaOf(errors) };
    },
    isValid: (schema, formData) => check(schema, formData).length === 0,
    rawValidation: <Result>(schema: RJSFSchema, formData?: unknown) => ({ errors: check(schema, formData) as Result[] }),
  };
}

function check(schema: RJSFSchema, formData: unknown): OutputUnit[] {
  // What is not there is not JSON; the server would not see it either.
  const document: unknown = JSON.parse(JSON.stringify(formData ?? {}));
  return new Validator(schema as Schema, "2020-12", false).validate(document).errors;
}

function problemsOf(formData: unknown, schema: RJSFSchema, words: Dictionary, lang: Language): RJSFValidationError[] {
  return check(schema, formData)
    .filter(({ keyword }) => !OUTER.has(keyword))
    .map((unit) => {
      const path = pathOf(unit);
      const message = messageOf(unit, schema, path, words, lang);
      return { name: unit.keyword, property: path.map((part) => `.${part}`).join(""), message, stack: message, params: { path } };
    });
}

/** The field that an error belongs to; a missing one is the field's own, not its parent's. */
function pathOf({ instanceLocation, keyword, error }: OutputUnit): string[] {
  const path = instanceLocation.split("/").slice(1).map(unescaped);
  const missing = keyword === "required" ? /"(.+)"/.exec(error)?.[1] : undefined;
  return missing === undefined ? path : [...path, missing];
}

function unescaped(part: string): string {
  return decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
}

function messageOf({ keyword }: OutputUnit, schema: RJSFSchema, path: readonly string[], words: Dictionary, lang: Language): string {
  const { form } = words;
  const node = nodeAt(schema, path) ?? {};
  const limit = (value: number | undefined) => quantity(value ?? 0, unitOf(node), words, lang, 6);
  switch (keyword) {
    case "required":
      return form.required;
    case "type":
      return node.type === "number" || node.type === "integer" ? form.type.number : node.type === "string" ? form.type.string : form.type.other;
    case "minimum":
      return form.minimum(limit(node.minimum));
    case "maximum":
      return form.maximum(limit(node.maximum));
    case "pattern":
      return form.pattern;
    case "minLength":
      return form.tooShort;
    case "maxLength":
      return form.tooLong(node.maxLength ?? 0);
    case "enum":
    case "const":
      return form.choice;
    case "minItems":
      return form.items(node.minItems ?? 0);
    case "maxItems":
      return form.manyItems(node.maxItems ?? 0);
    default:
      return form.invalid;
  }
}

function errorSchemaOf(errors: readonly RJSFValidationError[]): ErrorSchema {
  const builder = new ErrorSchemaBuilder();
  for (const { message, params } of errors) builder.addErrors(message ?? "", params.path as string[]);
  return builder.ErrorSchema;
}

/** The server's refusals at the fields that they name; those without one belong to the whole form. */
export function refusalsAtFields(refusals: readonly { readonly field: readonly string[] | null; readonly message: string }[]): ErrorSchema {
  const builder = new ErrorSchemaBuilder();
  for (const { field, message } of refusals) builder.addErrors(message, field?.[0] === "values" ? field.slice(1) : []);
  return builder.ErrorSchema;
}

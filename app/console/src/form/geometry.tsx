import type { WidgetProps } from "@rjsf/utils";
import { createContext, useContext, useEffect, useState } from "react";

import { client } from "../api/client";
import { graphql } from "../gql";
import type { GeometryChoicesQuery } from "../gql/graphql";
import { useWords } from "../i18n";
import type { Marked } from "./schema";

const GeometryChoices = graphql(`
  query GeometryChoices($projectPath: ID!, $ref: String!, $kind: String!) {
    geometries(projectPath: $projectPath, ref: $ref, kind: $kind) { id key name description }
  }
`);

/** Where the manifest is read: the saga's own branch, which may have geometries that the default branch lacks. */
export const Manifest = createContext({ projectPath: "", branch: "" });

type Geometries = NonNullable<GeometryChoicesQuery["geometries"]>;

/** Picks an entry of the manifest; where that cannot be read, its key can still be typed. */
export function GeometryWidget({ id, schema, value, disabled, readonly, required, rawErrors, onChange }: WidgetProps) {
  const words = useWords();
  const geometries = useGeometries((schema as Marked)["x-geometry-kind"] ?? "");
  const key = typeof value === "string" ? value : "";
  const common = { id, disabled: disabled === true || readonly === true, required, "aria-invalid": (rawErrors?.length ?? 0) > 0 || undefined, "aria-describedby": `${id}-help` };
  if (geometries === "unknown") {
    return <input {...common} value={key} placeholder={words.form.noGeometries} onChange={(event) => onChange(event.target.value === "" ? undefined : event.target.value)} />;
  }
  const chosen = geometries.find((geometry) => geometry.key === key);
  return (
    <>
      <select {...common} value={key} title={chosen?.description ?? undefined} onChange={(event) => onChange(event.target.value === "" ? undefined : event.target.value)}>
        <option value="">{words.form.chooseGeometry}</option>
        {key !== "" && chosen === undefined && <option value={key}>{geometries.length === 0 ? key : words.form.unknownGeometry(key)}</option>}
        {geometries.map((geometry) => (
          <option key={geometry.id} value={geometry.key}>
            {geometry.name} · {geometry.key}
          </option>
        ))}
      </select>
    </>
  );
}

function useGeometries(kind: string): Geometries | "unknown" {
  const { projectPath, branch } = useContext(Manifest);
  const [known, learn] = useState<Geometries | "unknown">([]);
  useEffect(() => {
    let wanted = true;
    void client
      .query(GeometryChoices, { projectPath, ref: branch, kind })
      .toPromise()
      .then(({ data }) => wanted && learn(data?.geometries ?? "unknown"));
    return () => {
      wanted = false;
    };
  }, [projectPath, branch, kind]);
  return known;
}

import { useEffect, useState } from "react";

import { client } from "../api/client";
import { connection } from "../api/connection";
import { useStore } from "../api/store";
import { graphql } from "../gql";
import type { WhoQuery } from "../gql/graphql";

const Who = graphql(`
  query Who {
    viewer { username name }
  }
`);

/** Who is looking; "refused" where the service does not know them, null until it has said. */
export type Viewer = WhoQuery["viewer"] | "refused" | null;

export function useViewer(): Viewer {
  const [viewer, tell] = useState<Viewer>(null);
  const { link, epoch } = useStore(connection);
  useEffect(() => {
    let wanted = true;
    void client
      .query(Who, {})
      .toPromise()
      .then(({ data, error }) => {
        if (!wanted) return;
        if (data) tell(data.viewer);
        else if (error?.graphQLErrors.some(({ extensions }) => extensions["code"] === "UNAUTHENTICATED")) tell("refused");
      });
    return () => {
      wanted = false;
    };
  }, [epoch, link === "refused"]);
  return viewer;
}

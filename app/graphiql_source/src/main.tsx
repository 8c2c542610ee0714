import "graphiql/setup-workers/vite";
import "graphiql/style.css";
import "./page.css";

import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { GraphiQL } from "graphiql";
import { createRoot } from "react-dom/client";

import { eventsPlugin } from "./events";
import { fetcher } from "./fetcher";
import { storage } from "./storage";
import { defaultTabs } from "./tabs";
import { TokenField } from "./token";

const place = document.getElementById("graphiql");
if (place === null) throw new Error("The page has no element #graphiql.");

createRoot(place).render(
  <GraphiQL
    fetcher={fetcher}
    defaultTabs={defaultTabs}
    defaultEditorToolsVisibility="variables"
    plugins={[HISTORY_PLUGIN, eventsPlugin]}
    // Headers may carry a token, and what GraphiQL persists outlives the browser's session.
    shouldPersistHeaders={false}
    showPersistHeadersSettings={false}
    storage={storage}
  >
    <GraphiQL.Logo>
      <TokenField />
    </GraphiQL.Logo>
  </GraphiQL>,
);

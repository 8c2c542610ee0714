import "@fontsource-variable/ibm-plex-sans/wght.css";
import "@fontsource/ibm-plex-mono/400.css";
import "./styles/tokens.css";
import "./styles/base.css";

import { createRoot } from "react-dom/client";

import { App } from "./app";

const place = document.getElementById("console");
if (place === null) throw new Error("The page has no element #console.");
createRoot(place).render(<App />);

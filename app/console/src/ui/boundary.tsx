import { Component, type ReactNode } from "react";

import { useWords } from "../i18n";

/** Where a part cannot be drawn or loaded, such as after a new release replaced the files, the page says so and offers to load anew. */
export class Boundary extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override render(): ReactNode {
    return this.state.failed ? <Broken /> : this.props.children;
  }
}

function Broken() {
  const words = useWords();
  return (
    <main id="content" className="page" tabIndex={-1}>
      <h1>{words.errors.title}</h1>
      <p>{words.errors.broken}</p>
      <button onClick={() => location.reload()}>{words.errors.reload}</button>
    </main>
  );
}

import type { ReactNode } from "react";

import type { StepKind, StepStatus } from "../gql/graphql";

const SHAPES: Record<StepStatus, ReactNode> = {
  PENDING: <circle cx="8" cy="8" r="5.5" strokeDasharray="2 2.3" />,
  ACTIVE: <path d="M8 2a6 6 0 1 1-5.6 3.9" />,
  WAITING: <path d="M4 2h8M4 14h8M5 2c0 3.5 6 8.5 6 12M11 2c0 3.5-6 8.5-6 12" />,
  DONE: <path d="m2.5 8.5 3.7 3.7 7.3-8" strokeWidth="2" />,
  SKIPPED: <path d="m3 4 4 4-4 4M8 4l4 4-4 4M14 4v8" />,
  FAILED: <path d="M8 2 1.7 13.5h12.6L8 2Zm0 4.5V10m0 1.7v.3" />,
  COMPENSATED: <path d="M3.5 6.5H10a3.5 3.5 0 0 1 0 7H6M3.5 6.5l3-3M3.5 6.5l3 3" />,
};
const PENCIL = <path d="m3 13 1-3.5L10.5 3 13 5.5 6.5 12 3 13ZM9 4.5 11.5 7" />;

/** A shape for each status of a step; a wait for a person is not the same as one for a worker. */
export function StepIcon({ status, kind }: { status: StepStatus; kind: StepKind }) {
  return (
    <svg className="status-icon" viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      {status === "WAITING" && kind === "INPUT" ? PENCIL : SHAPES[status]}
    </svg>
  );
}

import "./status.css";

import type { ReactNode } from "react";

import type { SagaStatus } from "../gql/graphql";
import { useWords } from "../i18n";

/** Each status has a shape of its own beside its colour, so that nobody needs to tell red from green. */
const SHAPES: Record<SagaStatus, ReactNode> = {
  RUNNING: <path d="M8 2a6 6 0 1 1-5.6 3.9" />,
  AWAITING_INPUT: <path d="m3 13 1-3.5L10.5 3 13 5.5 6.5 12 3 13ZM9 4.5 11.5 7" />,
  AWAITING_RESULT: <path d="M4 2h8M4 14h8M5 2c0 3.5 6 8.5 6 12M11 2c0 3.5-6 8.5-6 12" />,
  PAUSED: <path d="M5.5 3v10M10.5 3v10" strokeWidth="2.2" />,
  FAILED: <path d="M8 2 1.7 13.5h12.6L8 2Zm0 4.5V10m0 1.7v.3" />,
  CANCELLING: <path d="M13 9.5a5 5 0 0 1-5 4.5H4M4 14l2.5-2.5M4 14l2.5 2M3 6.5a5 5 0 0 1 5-4.5" />,
  CANCELLED: <path d="M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM3.9 12.1l8.2-8.2" />,
  COMPLETED: <path d="m2.5 8.5 3.7 3.7 7.3-8" strokeWidth="2" />,
};

export function StatusIcon({ status }: { status: SagaStatus }) {
  return (
    <svg className="status-icon" viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      {SHAPES[status]}
    </svg>
  );
}

export function Status({ status }: { status: SagaStatus }) {
  const words = useWords();
  return (
    <span className="status" data-status={status}>
      <StatusIcon status={status} />
      {words.status[status]}
    </span>
  );
}

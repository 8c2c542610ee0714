import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, useEffect, useLayoutEffect, useRef, useState } from "react";

import { useWords } from "../i18n";
import { useMedia } from "../ui/media";
import { SagaRow } from "./row";
import type { Row } from "./live-sagas";

const ROW_PX = 46;
const CARD_PX = 94;

interface Props {
  readonly rows: readonly Row[];
  readonly total: number;
  readonly more: boolean;
  readonly busy: boolean;
  readonly loadMore: () => void;
}

/** Thousands of rows, of which only the visible ones exist. Arrow keys walk over them. */
export function SagaTable({ rows, total, more, busy, loadMore }: Props) {
  const words = useWords();
  const narrow = useMedia("(max-width: 60rem)");
  const height = narrow ? CARD_PX : ROW_PX;
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => height,
    getItemKey: (index) => rows[index]?.id ?? index,
    overscan: 12,
  });
  useLayoutEffect(() => virtual.measure(), [height, virtual]);
  const arrived = useStillness(rows, scroller, height);
  const visible = virtual.getVirtualItems();
  const last = visible.at(-1)?.index ?? 0;
  useEffect(() => {
    if (more && !busy && last > rows.length - 40) loadMore();
  }, [more, busy, last, rows.length, loadMore]);
  const { columns } = words.sagas;
  const titles = [columns.status, columns.saga, columns.step, columns.progress, columns.branch, columns.startedBy, columns.age, columns.waiting];
  return (
    <div className="saga-table" role="table" aria-label={words.sagas.title} aria-rowcount={total + 1}>
      {arrived > 0 && (
        <button className="arrived" onClick={() => scroller.current?.scrollTo({ top: 0 })}>
          ↑ {words.sagas.arrived(arrived)}
        </button>
      )}
      <div className="saga-rows" role="presentation" ref={scroller} onKeyDown={(event) => walk(event, virtual.scrollToIndex)}>
        <div role="rowgroup">
          <div className="saga-head" role="row">
            {titles.map((title) => (
              <span key={title} role="columnheader">
                {title}
              </span>
            ))}
          </div>
        </div>
        <div className="saga-space" role="rowgroup" style={{ height: virtual.getTotalSize() }}>
          {visible.map(({ index, key, start }) => {
            const row = rows[index];
            return row === undefined ? null : <SagaRow key={key} row={row} index={index} top={start} height={height} />;
          })}
        </div>
        {busy && <p className="quiet busy">{words.sagas.more}</p>}
      </div>
    </div>
  );
}

/** Whoever reads further down keeps his rows where they are while new ones come in above; tells how many came. */
function useStillness(rows: readonly Row[], scroller: React.RefObject<HTMLDivElement | null>, height: number): number {
  const top = useRef<string | undefined>(undefined);
  const [arrived, tell] = useState(0);
  useLayoutEffect(() => {
    const above = rows.findIndex((row) => row.id === top.current);
    const place = scroller.current;
    if (place !== null && above > 0 && place.scrollTop > height) {
      place.scrollTop += above * height;
      tell((count) => count + above);
    }
    top.current = rows[0]?.id;
  }, [rows, scroller, height]);
  useEffect(() => {
    const place = scroller.current;
    if (place === null) return;
    const seen = () => place.scrollTop < height && tell(0);
    place.addEventListener("scroll", seen, { passive: true });
    return () => place.removeEventListener("scroll", seen);
  }, [scroller, height]);
  return arrived;
}

const STEPS: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 10, PageUp: -10 };

function walk(event: KeyboardEvent<HTMLDivElement>, show: (index: number) => void): void {
  const step = STEPS[event.key];
  const from = (event.target as HTMLElement).closest<HTMLElement>("[data-index]");
  if (step === undefined || from === null || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const to = Math.max(0, Number(from.dataset.index) + step);
  show(to);
  requestAnimationFrame(() => {
    const list = from.parentElement ?? document;
    list.querySelector<HTMLElement>(`[data-index="${to}"] a`)?.focus({ preventScroll: true });
  });
}

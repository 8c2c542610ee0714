import "@xyflow/react/dist/base.css";
import "./graph.css";

import { Background, Controls, Handle, type Edge, type Node, type NodeProps, Position, ReactFlow, useReactFlow, ReactFlowProvider } from "@xyflow/react";
import { useEffect, useMemo, useRef, useState } from "react";

import { titleOf, useCatalogue } from "../api/catalogue";
import { useWords } from "../i18n";
import { NODE, chartOf } from "./chart";
import type { Saga, Step } from "./live-saga";
import { StepCard } from "./step-card";

interface Props {
  readonly saga: Saga;
  readonly selected: string | null;
  readonly select: (name: string) => void;
}

type StepNode = Node<{ step: Step; selected: boolean; select: (name: string) => void }, "step">;
type LaneNode = Node<{ title: string }, "lane">;

const TYPES = { step: StepInGraph, lane: LaneTitle };
const MARGIN = 28;

/** The whole chain, on one picture. It has the height that its width asks for, so nothing is ever squashed. */
export default function SagaGraph(props: Props) {
  return (
    <ReactFlowProvider>
      <Graph {...props} />
    </ReactFlowProvider>
  );
}

function Graph({ saga, selected, select }: Props) {
  const words = useWords();
  const catalogue = useCatalogue();
  const chart = useMemo(() => chartOf(saga), [saga]);
  const nodes = useMemo<(StepNode | LaneNode)[]>(
    () => [
      ...chart.lanes.map((lane): LaneNode => ({ id: `lane ${lane.calculation ?? ""}`, type: "lane", position: { x: 0, y: lane.y - 19 }, data: { title: lane.calculation === null ? "" : titleOf(catalogue.calculations, lane.calculation) } })),
      ...chart.nodes.map(({ step, x, y }): StepNode => ({ id: step.name, type: "step", position: { x, y }, ...NODE, data: { step, selected: step.name === selected, select } })),
    ],
    [chart, catalogue, selected, select],
  );
  const edges = useMemo(() => edgesOf(chart), [chart]);
  const [place, box] = useWidth();
  const height = Math.min(1, (box - 2 * MARGIN) / chart.width) * (chart.height + 30) + 2 * MARGIN;
  return (
    <div className="graph" ref={place} style={{ height }} role="group" aria-label={words.saga.chain}>
      <ReactFlow
        nodes={nodes}
        edges={edges}
        nodeTypes={TYPES}
        fitView
        fitViewOptions={{ padding: `${MARGIN}px`, maxZoom: 1 }}
        minZoom={0.3}
        maxZoom={1.6}
        nodesDraggable={false}
        nodesConnectable={false}
        nodesFocusable={false}
        edgesFocusable={false}
        elementsSelectable={false}
        zoomOnScroll={false}
        zoomOnDoubleClick={false}
        preventScrolling={false}
        disableKeyboardA11y
      >
        <Background gap={20} size={1} />
        <Controls showInteractive={false} position="top-right" />
        <Fit width={box} height={height} />
      </ReactFlow>
    </div>
  );
}

function Fit({ width, height }: { width: number; height: number }) {
  const { fitView } = useReactFlow();
  useEffect(() => {
    const timer = setTimeout(() => void fitView({ padding: `${MARGIN}px`, maxZoom: 1 }), 30);
    return () => clearTimeout(timer);
  }, [fitView, width, height]);
  return null;
}

function useWidth() {
  const place = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(960);
  useEffect(() => {
    if (place.current === null) return;
    const observer = new ResizeObserver(([entry]) => entry && setWidth(Math.round(entry.contentRect.width)));
    observer.observe(place.current);
    return () => observer.disconnect();
  }, []);
  return [place, width] as const;
}

function StepInGraph({ data }: NodeProps<StepNode>) {
  return (
    <>
      <Handle id="in" type="target" position={Position.Left} />
      <Handle id="above" type="target" position={Position.Top} />
      <StepCard {...data} />
      <Handle id="out" type="source" position={Position.Right} />
      <Handle id="below" type="source" position={Position.Bottom} />
      <Handle id="over" type="source" position={Position.Top} />
    </>
  );
}

function LaneTitle({ data }: NodeProps<LaneNode>) {
  return <p className="lane">{data.title}</p>;
}

function edgesOf({ nodes, edges }: ReturnType<typeof chartOf>): Edge[] {
  const places = new Map(nodes.map((node) => [node.step.name, node]));
  return edges
    // A task that is sent again is worth a line only where that has happened.
    .filter(({ back, to }) => !back || (places.get(to)?.step.visit ?? 0) > 1)
    .map(({ from, to, trigger, back, leap, taken }) => {
      const sameLane = places.get(from)?.y === places.get(to)?.y;
      const around = sameLane && (leap || back);
      return {
        id: `${from} ${trigger} ${to}`,
        source: from,
        target: to,
        type: around ? "default" : "smoothstep",
        sourceHandle: around ? "over" : sameLane ? "out" : "below",
        targetHandle: around ? "above" : "in",
        className: taken ? "taken" : leap || back ? "leap" : "",
      };
    });
}

import { Graph, layout } from "@dagrejs/dagre";

import type { Saga, Step } from "./live-saga";

export const NODE = { width: 126, height: 60 } as const;
const LANE_GAP = 50;
const END = "COMPLETED";

export interface Placed {
  readonly step: Step;
  readonly x: number;
  readonly y: number;
}

export interface Lane {
  /** The calculation; null for what belongs to none. */
  readonly calculation: string | null;
  readonly y: number;
  readonly height: number;
}

export interface Edge {
  readonly from: string;
  readonly to: string;
  readonly trigger: string;
  /** Against the order of the happy path: a task that is sent again. */
  readonly back: boolean;
  /** Past a step that need not happen. */
  readonly leap: boolean;
  readonly taken: boolean;
}

export interface Chart {
  readonly nodes: readonly Placed[];
  readonly edges: readonly Edge[];
  readonly lanes: readonly Lane[];
  readonly width: number;
  readonly height: number;
}

/** The chain as a picture: one lane for each calculation, laid out by dagre, so that the longest chain still has readable steps. */
export function chartOf(saga: Saga): Chart {
  const nodes: Placed[] = [];
  const lanes: Lane[] = [];
  let width = 0;
  let top = 0;
  for (const [calculation, steps] of lanesOf(saga.steps)) {
    const graph = new Graph();
    graph.setGraph({ rankdir: "LR", nodesep: 16, ranksep: 17 });
    graph.setDefaultEdgeLabel(() => ({}));
    for (const { name } of steps) graph.setNode(name, { ...NODE });
    // The happy path keeps to one line; ways around it are drawn, but do not bend it.
    for (const [index, step] of steps.entries()) {
      const next = steps[index + 1];
      if (next !== undefined) graph.setEdge(step.name, next.name);
    }
    layout(graph);
    const { width: laneWidth = 0, height = NODE.height } = graph.graph() as { width?: number; height?: number };
    for (const step of steps) {
      const place = graph.node(step.name) as { x: number; y: number };
      nodes.push({ step, x: place.x - NODE.width / 2, y: top + place.y - NODE.height / 2 });
    }
    lanes.push({ calculation, y: top, height });
    width = Math.max(width, laneWidth);
    top += height + LANE_GAP;
  }
  return { nodes, edges: edgesOf(saga), lanes, width, height: Math.max(0, top - LANE_GAP) };
}

function lanesOf(steps: readonly Step[]): Map<string | null, Step[]> {
  const lanes = new Map<string | null, Step[]>();
  // What belongs to no calculation, such as making the branch, leads into the first one's lane.
  const first = steps.find((step) => step.calculation !== null)?.calculation ?? null;
  let lane: string | null = first;
  for (const step of steps) {
    lane = step.calculation ?? lane;
    lanes.set(lane, [...(lanes.get(lane) ?? []), step]);
  }
  return lanes;
}

function edgesOf(saga: Saga): Edge[] {
  const order = new Map(saga.definition.states.map((state, index) => [state, index]));
  const steps = new Map(saga.steps.map((step) => [step.name, step]));
  return saga.definition.transitions
    .filter(({ fromState, toState }) => toState !== END && steps.has(fromState) && steps.has(toState))
    .map(({ fromState, toState, trigger }) => {
      const [from, to] = [order.get(fromState) ?? 0, order.get(toState) ?? 0];
      const between = saga.steps.slice(from + 1, Math.max(from + 1, to));
      return {
        from: fromState,
        to: toState,
        trigger,
        back: to <= from,
        leap: to > from + 1,
        taken: done(steps.get(fromState)) && reached(steps.get(toState)) && (to === from + 1 || (to > from && between.every((step) => step.status === "SKIPPED"))),
      };
    });
}

function done(step: Step | undefined): boolean {
  return step?.status === "DONE" || step?.status === "SKIPPED" || step?.status === "COMPENSATED";
}

function reached(step: Step | undefined): boolean {
  return step !== undefined && step.status !== "PENDING" && step.status !== "SKIPPED";
}

import { useCatalogue } from "../api/catalogue";
import type { SagaStatus } from "../gql/graphql";
import { useWords } from "../i18n";
import { StatusIcon } from "../ui/status";
import { type Filters, STATUSES, read, written } from "./filters";

interface Props {
  readonly filters: Filters;
  readonly projects: readonly string[];
  readonly change: (next: Filters) => void;
}

export function FilterBar({ filters, projects, change }: Props) {
  const words = useWords();
  const catalogue = useCatalogue();
  const toggle = (status: SagaStatus) => {
    const statuses = filters.statuses.includes(status)
      ? filters.statuses.filter((other) => other !== status)
      : [...filters.statuses, status];
    change({ ...filters, statuses });
  };
  const choices = projects.includes(filters.project) || filters.project === "" ? projects : [filters.project, ...projects];
  return (
    <search className="filters">
      <input
        type="search"
        aria-label={words.sagas.search}
        placeholder={words.sagas.searchHint}
        value={filters.search}
        onChange={(event) => change({ ...filters, search: event.target.value })}
      />
      <select aria-label={words.sagas.project} value={filters.project} onChange={(event) => change({ ...filters, project: event.target.value })}>
        <option value="">{words.sagas.anyProject}</option>
        {choices.map((project) => (
          <option key={project}>{project}</option>
        ))}
      </select>
      <select aria-label={words.sagas.definition} value={filters.definition} onChange={(event) => change({ ...filters, definition: event.target.value })}>
        <option value="">{words.sagas.anyDefinition}</option>
        {[...catalogue.definitions].map(([name, title]) => (
          <option key={name} value={name}>
            {title}
          </option>
        ))}
      </select>
      <div className="chips" role="group" aria-label={words.sagas.status}>
        <button aria-pressed={filters.mine} onClick={() => change({ ...filters, mine: !filters.mine })}>
          {words.sagas.mine}
        </button>
        {STATUSES.map((status) => (
          <button key={status} data-status={status} aria-pressed={filters.statuses.includes(status)} onClick={() => toggle(status)}>
            <StatusIcon status={status} />
            {words.status[status]}
          </button>
        ))}
        {written(filters).size > 0 && (
          <button className="plain" onClick={() => change(read(new URLSearchParams()))}>
            {words.sagas.clear}
          </button>
        )}
      </div>
    </search>
  );
}

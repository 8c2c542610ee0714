export default function SagaPage({ id }: { id: string }) {
  return <main id="content">{id}</main>;
}

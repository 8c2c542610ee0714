"""The use cases behind `sagas.service`: each checks, opens exactly one transaction, and tells others afterwards."""

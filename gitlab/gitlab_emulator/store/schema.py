"""The tables. Lists are JSON texts, times sortable ISO texts, truth values 0 and 1."""

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS users (
        id INTEGER PRIMARY KEY AUTOINCREMENT, username TEXT NOT NULL UNIQUE COLLATE NOCASE, name TEXT NOT NULL,
        email TEXT NOT NULL UNIQUE COLLATE NOCASE, is_admin INTEGER NOT NULL DEFAULT 0,
        is_bot INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'active', created_at TEXT NOT NULL)
    """,
    """
    CREATE TABLE IF NOT EXISTS tokens (
        id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
        name TEXT NOT NULL, description TEXT, digest TEXT NOT NULL UNIQUE, scopes TEXT NOT NULL,
        revoked INTEGER NOT NULL DEFAULT 0, impersonation INTEGER NOT NULL DEFAULT 0,
        project_id INTEGER REFERENCES projects ON DELETE CASCADE,
        expires_at TEXT, created_at TEXT NOT NULL, last_used_at TEXT)
    """,
    """
    CREATE TABLE IF NOT EXISTS namespaces (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL,
        full_path TEXT NOT NULL UNIQUE COLLATE NOCASE, parent_id INTEGER REFERENCES namespaces,
        owner_id INTEGER REFERENCES users, visibility TEXT NOT NULL DEFAULT 'private', created_at TEXT NOT NULL)
    """,
    """
    CREATE TABLE IF NOT EXISTS projects (
        id INTEGER PRIMARY KEY AUTOINCREMENT, namespace_id INTEGER NOT NULL REFERENCES namespaces,
        name TEXT NOT NULL, path TEXT NOT NULL, full_path TEXT NOT NULL UNIQUE COLLATE NOCASE, description TEXT,
        visibility TEXT NOT NULL, archived INTEGER NOT NULL DEFAULT 0,
        remove_source_branch_after_merge INTEGER NOT NULL DEFAULT 1, issue_branch_template TEXT,
        creator_id INTEGER NOT NULL, created_at TEXT NOT NULL, last_activity_at TEXT NOT NULL,
        marked_for_deletion_on TEXT)
    """,
    """
    CREATE TABLE IF NOT EXISTS redirects (
        full_path TEXT PRIMARY KEY COLLATE NOCASE, project_id INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE)
    """,
    """
    CREATE TABLE IF NOT EXISTS members (
        source_kind TEXT NOT NULL, source_id INTEGER NOT NULL, user_id INTEGER NOT NULL REFERENCES users,
        access_level INTEGER NOT NULL, created_at TEXT NOT NULL, expires_at TEXT,
        PRIMARY KEY (source_kind, source_id, user_id)) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS protected_branches (
        id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE,
        name TEXT NOT NULL, push_level INTEGER NOT NULL, merge_level INTEGER NOT NULL,
        allow_force_push INTEGER NOT NULL DEFAULT 0, UNIQUE (project_id, name))
    """,
    """
    CREATE TABLE IF NOT EXISTS issues (
        id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE,
        iid INTEGER NOT NULL, title TEXT NOT NULL, description TEXT, state TEXT NOT NULL DEFAULT 'opened',
        labels TEXT NOT NULL, author_id INTEGER NOT NULL, assignee_ids TEXT NOT NULL, issue_type TEXT NOT NULL,
        confidential INTEGER NOT NULL DEFAULT 0, due_date TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
        closed_at TEXT, closed_by_id INTEGER, UNIQUE (project_id, iid))
    """,
    """
    CREATE TABLE IF NOT EXISTS merge_requests (
        id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE,
        iid INTEGER NOT NULL, title TEXT NOT NULL, description TEXT, state TEXT NOT NULL DEFAULT 'opened',
        source_branch TEXT NOT NULL, target_branch TEXT NOT NULL, head_sha TEXT, base_sha TEXT,
        labels TEXT NOT NULL, author_id INTEGER NOT NULL, assignee_ids TEXT NOT NULL, reviewer_ids TEXT NOT NULL,
        squash INTEGER NOT NULL DEFAULT 0, remove_source_branch INTEGER NOT NULL DEFAULT 0,
        merge_commit_sha TEXT, squash_commit_sha TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
        merged_at TEXT, merged_by_id INTEGER, closed_at TEXT, closed_by_id INTEGER, UNIQUE (project_id, iid))
    """,
    "CREATE INDEX IF NOT EXISTS merge_requests_by_source ON merge_requests (project_id, source_branch)",
    """
    CREATE TABLE IF NOT EXISTS notes (
        id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE,
        noteable_kind TEXT NOT NULL, noteable_id INTEGER NOT NULL, noteable_iid INTEGER NOT NULL, body TEXT NOT NULL,
        author_id INTEGER NOT NULL, internal INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL)
    """,
    "CREATE INDEX IF NOT EXISTS notes_by_noteable ON notes (noteable_kind, noteable_id)",
    """
    CREATE TABLE IF NOT EXISTS commit_statuses (
        id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE,
        sha TEXT NOT NULL, ref TEXT, state TEXT NOT NULL, name TEXT NOT NULL, target_url TEXT, description TEXT,
        author_id INTEGER NOT NULL, created_at TEXT NOT NULL, UNIQUE (project_id, sha, name))
    """,
    """
    CREATE TABLE IF NOT EXISTS hooks (
        id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE,
        uuid TEXT NOT NULL, url TEXT NOT NULL, name TEXT, description TEXT, token TEXT, signing_token TEXT,
        events TEXT NOT NULL, push_events_branch_filter TEXT, branch_filter_strategy TEXT NOT NULL,
        enable_ssl_verification INTEGER NOT NULL, custom_headers TEXT NOT NULL,
        failures INTEGER NOT NULL DEFAULT 0, disabled_until TEXT, created_at TEXT NOT NULL)
    """,
    """
    CREATE TABLE IF NOT EXISTS deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT, hook_id INTEGER NOT NULL REFERENCES hooks ON DELETE CASCADE,
        uuid TEXT NOT NULL, event_uuid TEXT NOT NULL, event TEXT NOT NULL, body TEXT NOT NULL,
        instance TEXT NOT NULL, due_at TEXT, attempts INTEGER NOT NULL DEFAULT 0, response_status TEXT,
        response_body TEXT, execution_seconds REAL NOT NULL DEFAULT 0, created_at TEXT NOT NULL)
    """,
    "CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due_at) WHERE due_at IS NOT NULL",
)

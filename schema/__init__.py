"""The GraphQL API: translate, authorise, page."""

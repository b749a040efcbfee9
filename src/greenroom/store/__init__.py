"""The durable store: schema, migrations, queries by subject, the group-commit writer and the database drivers."""

"""What SQLite can do, whatever drives it.

Nothing is closed because a dialect of ours fails it: whatever is closed here fails
with SQLAlchemy's sqlite+pysqlite if it is opened. The rest is SQLAlchemy's default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.testing.requirements import SuiteRequirements

from tests.compliance.capabilities import HAS, lacks

if TYPE_CHECKING:
    from sqlalchemy.testing.config import Config


class SQLiteRequirements(SuiteRequirements):
    """Open what SQLite has, close what it lacks."""

    # Tables
    create_table_as = HAS
    create_temp_table_as = HAS
    table_ddl_if_exists = HAS
    index_ddl_if_exists = HAS
    temp_table_names = HAS
    has_temp_table = HAS
    server_defaults = HAS
    expression_server_defaults = HAS
    computed_columns = HAS
    computed_columns_stored = HAS
    computed_columns_virtual = HAS
    computed_columns_default_persisted = lacks("a computed column is virtual")
    computed_columns_reflect_persisted = HAS
    identity_columns = lacks("no GENERATED AS IDENTITY")
    reflect_tables_no_columns = lacks("no table without a column")
    reflect_table_options = HAS
    comment_reflection = lacks("no comments")
    comment_reflection_full_unicode = lacks("no comments")
    temp_table_comment_reflection = lacks("no comments")
    constraint_comment_reflection = lacks("no comments")
    column_collation_reflection = lacks("SQLAlchemy reflects no collation of SQLite's")

    # Views
    views = HAS
    temporary_views = HAS
    create_or_replace_view = lacks("no CREATE OR REPLACE VIEW")
    materialized_views = lacks("no materialized views")
    materialized_views_reflect_pk = lacks("no materialized views")

    # Schemas
    cross_schema_fk_reflection = lacks("a foreign key stays in its file")
    default_schema_name_switch = lacks("main stays the default")
    schema_create_delete = lacks("a schema is an attached file")

    # Constraints and indexes
    foreign_key_constraint_name_reflection = HAS
    foreign_key_constraint_option_reflection_ondelete = HAS
    fk_constraint_option_reflection_ondelete_restrict = HAS
    fk_constraint_option_reflection_ondelete_noaction = HAS
    foreign_key_constraint_option_reflection_onupdate = HAS
    fk_constraint_option_reflection_onupdate_restrict = HAS
    repeated_column_foreign_keys = HAS
    repeated_remote_col_foreign_keys = HAS
    implicitly_named_constraints = lacks("what is not named has no name")
    reflects_pk_names = HAS
    check_constraint_reflection = HAS
    inline_check_constraint_reflection = HAS
    unique_index_reflect_as_unique_constraints = lacks("the two are told apart")
    unique_constraints_reflect_as_index = lacks("the two are told apart")
    foreign_keys_reflect_as_index = lacks("a foreign key makes no index")
    indexes_with_expressions = HAS
    reflect_indexes_with_expressions = lacks("SQLAlchemy skips them, with a warning")
    indexes_check_column_order = HAS
    index_reflects_included_columns = lacks("no CREATE INDEX ... INCLUDE")

    # Queries
    ctes = HAS
    ctes_with_values = HAS
    ctes_with_update_delete = HAS
    tuple_in = HAS
    table_value_constructor = lacks("VALUES names no columns")
    window_functions = HAS
    window_range = HAS
    window_range_numeric = HAS
    window_range_non_numeric = lacks("RANGE takes numbers")
    update_from = HAS
    delete_from = lacks("no DELETE ... USING")
    parens_in_union_contained_select_w_limit_offset = lacks("no parentheses in UNION")
    parens_in_union_contained_select_wo_limit_offset = lacks("no parentheses in UNION")
    supports_distinct_on = lacks("no DISTINCT ON")
    fetch_first = lacks("no FETCH FIRST")
    regexp_match = HAS
    regexp_replace = lacks("no such function")
    supports_bitwise_or = HAS
    supports_bitwise_and = HAS
    supports_bitwise_not = HAS
    supports_bitwise_xor = HAS
    supports_bitwise_shift = HAS

    # Names
    unicode_ddl = HAS
    percent_schema_names = HAS

    # Types
    array_type = lacks("no arrays")
    uuid_data_type = HAS
    json_type = HAS
    legacy_unconditional_json_extract = HAS
    json_deserializer_binary = lacks("JSON is text")
    nvarchar_types = HAS
    datetime_literals = HAS
    datetime_interval = lacks("no intervals")
    datetime_timezone = lacks("no time zones")
    datetime_timezone_historic = lacks("no time zones")
    time_timezone = lacks("no time zones")
    datetime_historic = HAS
    date_historic = HAS
    timestamp_microseconds = HAS
    infinity_floats = HAS
    float_or_double_precision_behaves_generically = HAS
    precision_numerics_retains_significant_digits = HAS
    precision_numerics_many_significant_digits = lacks("a decimal is stored as a float")

    # Connections
    dbapi_lastrowid = HAS
    isolation_level = HAS
    autocommit = HAS
    skip_autocommit_rollback = HAS
    savepoints = HAS

    def get_order_by_collation(self, config: Config) -> str:
        """Return a collation that every SQLite has."""
        del config
        return "NOCASE"

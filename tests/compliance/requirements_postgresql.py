"""What PostgreSQL can do, whatever drives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.testing.requirements import SuiteRequirements

from tests.compliance.capabilities import HAS, lacks, only_on

if TYPE_CHECKING:
    from sqlalchemy.testing.config import Config


class PostgreSQLRequirements(SuiteRequirements):
    """Open what PostgreSQL has, close what it lacks."""

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
    computed_columns_virtual = only_on("postgresql >= 18")
    computed_columns_default_persisted = only_on("postgresql < 18")
    computed_columns_reflect_persisted = HAS
    identity_columns = HAS
    identity_columns_standard = HAS
    reflect_tables_no_columns = HAS
    reflect_table_options = HAS
    comment_reflection = HAS
    comment_reflection_full_unicode = HAS
    temp_table_comment_reflection = HAS
    constraint_comment_reflection = HAS
    column_collation_reflection = HAS

    # Views
    views = HAS
    temporary_views = HAS
    create_or_replace_view = HAS
    materialized_views = HAS
    materialized_views_reflect_pk = lacks("a materialized view has no key")

    # Schemas
    cross_schema_fk_reflection = HAS
    default_schema_name_switch = HAS
    schema_create_delete = HAS

    # Constraints and indexes
    foreign_key_constraint_name_reflection = HAS
    foreign_key_constraint_option_reflection_ondelete = HAS
    fk_constraint_option_reflection_ondelete_restrict = HAS
    fk_constraint_option_reflection_ondelete_noaction = HAS
    foreign_key_constraint_option_reflection_onupdate = HAS
    fk_constraint_option_reflection_onupdate_restrict = HAS
    repeated_column_foreign_keys = HAS
    repeated_remote_col_foreign_keys = lacks("a key refers to a column once")
    reflects_pk_names = HAS
    check_constraint_reflection = HAS
    inline_check_constraint_reflection = HAS
    unique_index_reflect_as_unique_constraints = lacks("the two are told apart")
    unique_constraints_reflect_as_index = HAS
    foreign_keys_reflect_as_index = lacks("a foreign key makes no index")
    indexes_with_expressions = HAS
    reflect_indexes_with_expressions = HAS
    reflect_indexes_with_ascdesc_as_expression = lacks("SQLAlchemy reflects the order")
    indexes_check_column_order = HAS
    index_reflects_included_columns = HAS

    # Queries
    ctes = HAS
    ctes_with_values = HAS
    ctes_with_update_delete = HAS
    tuple_in = HAS
    table_value_constructor = HAS
    window_functions = HAS
    window_range = HAS
    window_range_numeric = HAS
    window_range_non_numeric = HAS
    update_from = HAS
    delete_from = HAS
    supports_distinct_on = HAS
    fetch_first = HAS
    fetch_ties = HAS
    fetch_no_order_by = HAS
    fetch_offset_with_options = HAS
    fetch_expression = HAS
    fetch_percent = lacks("no FETCH FIRST ... PERCENT")
    regexp_match = HAS
    regexp_replace = HAS
    supports_bitwise_or = HAS
    supports_bitwise_and = HAS
    supports_bitwise_not = HAS
    supports_bitwise_xor = HAS
    supports_bitwise_shift = HAS

    # Names
    unicode_ddl = HAS
    percent_schema_names = HAS

    # Types
    array_type = HAS
    uuid_data_type = HAS
    json_type = HAS
    json_deserializer_binary = only_on("+psycopg")  # asyncpg hands text on
    legacy_unconditional_json_extract = HAS
    nvarchar_types = lacks("no NVARCHAR")
    datetime_literals = HAS
    datetime_interval = HAS
    datetime_timezone = HAS
    datetime_timezone_historic = HAS
    time_timezone = HAS
    datetime_historic = HAS
    date_historic = HAS
    timestamp_microseconds = HAS
    infinity_floats = HAS
    float_or_double_precision_behaves_generically = HAS
    precision_numerics_retains_significant_digits = HAS
    precision_numerics_many_significant_digits = HAS

    # Connections
    dbapi_lastrowid = lacks("RETURNING takes its place")
    isolation_level = HAS
    autocommit = HAS
    skip_autocommit_rollback = HAS
    savepoints = HAS

    def get_order_by_collation(self, config: Config) -> str:
        """Return a collation that every PostgreSQL has."""
        del config
        return "POSIX"

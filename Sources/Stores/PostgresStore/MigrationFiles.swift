extension Migration {
    /// The files of the folder Migrations, which are built into the program. The build makes a name of
    /// each: what is not a letter becomes a `_`, and so does the first digit.
    static let all: [Migration] = [
        make(
            1, "store", PackageResources._001_store_up_sql, PackageResources._001_store_down_sql),
        make(
            2, "trading", PackageResources._002_trading_up_sql,
            PackageResources._002_trading_down_sql),
        make(
            3, "strategies", PackageResources._003_strategies_up_sql,
            PackageResources._003_strategies_down_sql),
        make(
            4, "audit", PackageResources._004_audit_up_sql,
            PackageResources._004_audit_down_sql),
        make(
            5, "position_values", PackageResources._005_position_values_up_sql,
            PackageResources._005_position_values_down_sql),
    ]

    /// Those of opsd's own tables, in its schema. A database with more of them keeps those.
    static let own = all.filter { ["store"].contains($0.name) }

    private static func make(
        _ version: Int64, _ name: String, _ up: [UInt8], _ down: [UInt8]
    ) -> Migration {
        Migration(
            version: version, name: name, up: String(decoding: up, as: UTF8.self),
            down: String(decoding: down, as: UTF8.self))
    }
}

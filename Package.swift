// swift-tools-version: 6.2
import PackageDescription

// The rules of the house that the build itself checks: complete concurrency checking (Swift 6
// mode), every import named by the file that needs it, and no warning left standing.
let house: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

let argumentParser = Target.Dependency.product(
    name: "ArgumentParser", package: "swift-argument-parser")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let sqlite = Target.Dependency.product(name: "GRDBSQLite", package: "GRDB.swift")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(
    name: "HummingbirdCore", package: "hummingbird")
let jwt = Target.Dependency.product(name: "JWTKit", package: "jwt-kit")
let lifecycle = Target.Dependency.product(
    name: "ServiceLifecycle", package: "swift-service-lifecycle")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let coreMetrics = Target.Dependency.product(name: "CoreMetrics", package: "swift-metrics")
let unixSignals = Target.Dependency.product(
    name: "UnixSignals", package: "swift-service-lifecycle")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

let package = Package(
    name: "opsd",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "opsd", targets: ["opsd"]),
        .library(
            name: "OpsdRooms",
            targets: [
                "Ledger", "Trading", "TradingHTTP", "Control", "SQLiteStore", "PostgresStore",
                "RedisStore", "FileStore", "DualWrite", "CurlClient",
            ]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
    ],
    targets: [
        // The front door: commands, configuration, wiring. Imports every room; nobody imports it.
        .executableTarget(
            name: "opsd",
            dependencies: [
                "Ledger", "Trading", "Control", "DualWrite", "Connections", "ExactJSON",
                "FileStore",
                "SQLiteStore", "RedisStore", "PostgresStore", "CurlClient", "AlpacaBroker",
                "PaperBroker", "StrictYAML", "TradingHTTP", "Verify", argumentParser, coreMetrics,
                crypto,
                httpTypes, hummingbird, hummingbirdCore, lifecycle, logging, nioCore, unixSignals,
            ],
            swiftSettings: house),

        // The front door's HTTP for traders, apart so that it can be measured by itself.
        .target(
            name: "TradingHTTP",
            dependencies: [
                "ExactJSON", "Ledger", "Trading", httpTypes, hummingbird, jwt, logging, metrics,
                nioCore,
            ], swiftSettings: house),

        // The rooms.
        .target(
            name: "Trading", dependencies: ["Ledger", "StrictYAML", logging, metrics],
            swiftSettings: house),
        .target(
            name: "DualWrite", dependencies: ["ExactJSON", "Ledger", logging],
            swiftSettings: house),
        .target(
            name: "Verify", dependencies: ["Connections", "Ledger"], swiftSettings: house),
        .target(
            name: "Control",
            dependencies: ["Ledger", "CProcess", coreMetrics, grdb],
            swiftSettings: house),

        // Stores and brokers: one target each.
        .target(
            name: "SQLiteStore", dependencies: ["Ledger", grdb, sqlite],
            path: "Sources/Stores/SQLiteStore", swiftSettings: house),
        .target(
            name: "FileStore", dependencies: ["Connections", "ExactJSON", "Ledger", crypto],
            path: "Sources/Stores/FileStore", swiftSettings: house),
        .target(
            name: "PostgresStore", dependencies: ["Connections", "CPostgres", "Ledger"],
            path: "Sources/Stores/PostgresStore", resources: [.embedInCode("Migrations")],
            swiftSettings: house),
        .target(
            name: "RedisStore", dependencies: ["Ledger", "Connections", "ExactJSON", "CHiredis"],
            path: "Sources/Stores/RedisStore", swiftSettings: house),
        .target(
            name: "AlpacaBroker",
            dependencies: ["Ledger", "Trading", "CurlClient", "ExactJSON", logging],
            path: "Sources/Brokers/AlpacaBroker", swiftSettings: house),
        .target(
            name: "PaperBroker",
            dependencies: [
                "Ledger", "ExactJSON", crypto, grdb, httpTypes, hummingbird, lifecycle, logging,
                nioCore,
            ],
            path: "Sources/Brokers/PaperBroker", swiftSettings: house),

        // What the stores' connections have in common.
        .target(name: "Connections", dependencies: ["Ledger"], swiftSettings: house),

        // The ground floor.
        .target(name: "CurlClient", dependencies: ["CCurl"], swiftSettings: house),
        .target(
            name: "Ledger", dependencies: ["CFiles", crypto, grdb], swiftSettings: house),
        .target(name: "ExactJSON", dependencies: ["Ledger"], swiftSettings: house),
        .target(name: "StrictYAML", dependencies: ["Ledger", yams], swiftSettings: house),

        // C libraries: module maps and static-inline shims only.
        .systemLibrary(
            name: "CCurl", path: "Sources/CLibraries/CCurl", pkgConfig: "libcurl",
            providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(
            name: "CPostgres", path: "Sources/CLibraries/CPostgres", pkgConfig: "libpq",
            providers: [.apt(["libpq-dev"])]),
        .systemLibrary(
            name: "CHiredis", path: "Sources/CLibraries/CHiredis",
            providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "CProcess", path: "Sources/CLibraries/CProcess"),
        .systemLibrary(name: "CFiles", path: "Sources/CLibraries/CFiles"),

        // Tests: one folder a target, and IntegrationTests against real processes and servers.
        .target(
            name: "TestSupport", dependencies: ["Ledger"], path: "Tests/TestSupport",
            swiftSettings: house),
        .testTarget(name: "HouseTests", swiftSettings: house),
        .testTarget(
            name: "LedgerTests", dependencies: ["Ledger", "TestSupport", grdb],
            swiftSettings: house),
        .testTarget(
            name: "StrictYAMLTests", dependencies: ["StrictYAML", "TestSupport"],
            swiftSettings: house),
        .testTarget(
            name: "TradingTests",
            dependencies: ["Trading", "Ledger", "StrictYAML", "SQLiteStore", "TestSupport"],
            swiftSettings: house),
        .testTarget(
            name: "ControlTests", dependencies: ["Control", "Ledger", "TestSupport", coreMetrics],
            swiftSettings: house),
        .testTarget(
            name: "SQLiteStoreTests", dependencies: ["SQLiteStore", "Ledger", "TestSupport"],
            swiftSettings: house),
        .testTarget(
            name: "FileStoreTests", dependencies: ["FileStore", "Ledger", "TestSupport"],
            swiftSettings: house),
        .testTarget(
            name: "DualWriteTests",
            dependencies: ["DualWrite", "ExactJSON", "Ledger", "SQLiteStore", "TestSupport"],
            swiftSettings: house),
        .testTarget(
            name: "VerifyTests",
            dependencies: ["Verify", "Ledger", "TestSupport"], swiftSettings: house),
        .testTarget(
            name: "PostgresStoreTests",
            dependencies: ["PostgresStore", "Connections", "Ledger", "Trading", "TestSupport"],
            swiftSettings: house),
        .testTarget(
            name: "RedisStoreTests",
            dependencies: ["RedisStore", "Connections", "Ledger", "Trading", "TestSupport"],
            swiftSettings: house),
        .testTarget(
            name: "ConnectionsTests", dependencies: ["Connections", "Ledger"],
            swiftSettings: house),
        .testTarget(
            name: "CurlClientTests",
            dependencies: ["CurlClient", "TestSupport", hummingbird, logging],
            swiftSettings: house),
        .testTarget(
            name: "BrokerTests",
            dependencies: [
                "AlpacaBroker", "PaperBroker", "CurlClient", "ExactJSON", "Trading", "Ledger",
                "TestSupport", hummingbird, logging,
            ], swiftSettings: house),
        .testTarget(
            name: "OpsdTests",
            dependencies: [
                "opsd", "Control", coreMetrics, "DualWrite", "Ledger", "TradingHTTP", "StrictYAML",
                "Trading",
                "CurlClient", "ExactJSON", "PostgresStore", "RedisStore",
                "SQLiteStore",
                "TestSupport", crypto, hummingbird, logging,
            ],
            swiftSettings: house),
        .testTarget(
            name: "IntegrationTests",
            dependencies: ["opsd", "Ledger", "Trading", "CurlClient", "ExactJSON", "TestSupport"],
            swiftSettings: house),
    ]
)

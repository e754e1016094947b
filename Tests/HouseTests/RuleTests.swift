import Testing

/// Each rule finds what it forbids, at its line, and leaves alone what it does not.
@Suite("The rules themselves")
struct RuleTests {
    private func lines(_ findings: [Finding]) -> [String] {
        findings.map { "\($0.path):\($0.line)" }
    }

    private func source(_ text: String, in folder: String = "Sources/Trading") -> Repository {
        Repository(["\(folder)/A.swift": text])
    }

    @Test("Imports between rooms, whatever their form")
    func rooms() {
        let repository = Repository([
            "Sources/Trading/A.swift": "import Ledger\npublic import Control\n// import Alerts\n",
            "Sources/Backup/B.swift": "@preconcurrency internal import struct Verify.Plan\n",
            "Sources/opsd/C.swift": "import Trading\nimport Control\n",
        ])
        #expect(
            lines(repository.importsBetweenRooms())
                == ["Sources/Backup/B.swift:1", "Sources/Trading/A.swift:2"])
    }

    @Test("The front door")
    func frontDoor() {
        let repository = Repository([
            "Benchmarks/Sources/Bench/A.swift": "\nimport opsd\n",
            "Tests/OpsdTests/B.swift": "@testable import opsd\n",
        ])
        #expect(lines(repository.importsOfTheFrontDoor()) == ["Benchmarks/Sources/Bench/A.swift:2"])
    }

    @Test("C libraries: two importers, none, a public import")
    func cLibraries() {
        let repository = Repository([
            "Sources/CLibraries/CCurl/module.modulemap": "",
            "Sources/CLibraries/CZstd/module.modulemap": "",
            "Sources/CurlClient/A.swift": "internal import CCurl\n",
            "Sources/Stores/FileStore/B.swift": "import Ledger\ninternal import CCurl\n",
            "Sources/Control/C.swift": "public import CProcess\n",
        ])
        #expect(
            Set(lines(repository.importsOfCLibraries())) == [
                "Sources/CLibraries/CZstd/module.modulemap:1", "Sources/Control/C.swift:1",
                "Sources/Stores/FileStore/B.swift:2",
            ])
    }

    @Test("Alerts, their runbooks and their tests")
    func alerts() {
        func alert(_ name: String, _ more: String) -> String {
            "      - alert: \(name)\n        expr: x > 0\n\(more)"
        }
        func labels(_ name: String) -> String {
            "        labels: {severity: info}\n          runbook_url: runbooks/\(name).md\n"
        }
        let test = "      - eval_time: 1m\n        alertname: Good\n        exp_alerts:\n"
        let page = "# Good\n\n## Meaning\n\n## Impact\n\n## Check\n\n## Fix\n"
        let repository = Repository([
            "alerts/a.yml": alert("Good", labels("Good")) + alert("Bad", labels("Good")),
            "alerts/tests/a.yml": test, "runbooks/Good.md": page,
            "runbooks/Old.md": page.replacing("Good", with: "Old"),
            "runbooks/Thin.md": "# Thin\n\n## Meaning\n",
        ])
        #expect(
            repository.alertsWithoutRunbook().map(\.description) == [
                "alerts/a.yml:5: the alert Bad has no page runbooks/Bad.md",
                "alerts/a.yml:5: the alert Bad does not name its page",
                "alerts/a.yml:5: the alert Bad has no test in which it fires",
                "runbooks/Old.md:1: no alert is called Old",
                "runbooks/Thin.md:1: no alert is called Thin",
                "runbooks/Thin.md:1: the headings are not # Thin, ## Meaning, ## Impact, ## Check, "
                    + "## Fix",
            ])
    }

    @Test("Yams and GRDB")
    func keptLibraries() {
        let repository = Repository([
            "Sources/Trading/A.swift": "import Yams\ninternal import GRDB\n",
            "Sources/StrictYAML/B.swift": "internal import Yams\n",
            "Sources/Stores/SQLiteStore/C.swift": "internal import GRDB\n",
        ])
        #expect(
            lines(repository.importsOfKeptLibraries())
                == ["Sources/Trading/A.swift:1", "Sources/Trading/A.swift:2"])
    }

    @Test("Imports that Package.swift does not declare, and declarations that nothing imports")
    func declaredImports() {
        let repository = Repository([
            "Package.swift": """
            let logging = Target.Dependency.product(
                name: "Logging", package: "swift-log")
            let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
            let targets = [
                .target(name: "Ledger", dependencies: [crypto]),
                .target(
                    name: "Trading",
                    dependencies: [
                        "Ledger", "Control", logging,
                    ]),
                .testTarget(name: "TradingTests", dependencies: ["Trading"]),
            ]
            """,
            "Sources/Ledger/A.swift": "import Foundation\ninternal import Crypto\n",
            "Sources/Trading/B.swift": "import Ledger\ninternal import Logging\nimport NIOCore\n",
        ])
        #expect(
            lines(repository.importsOtherThanDeclared())
                == ["Package.swift:6", "Sources/Trading/B.swift:3"])
    }

    @Test(
        "Forbidden calls in code",
        arguments: [
            "let a = try! b()", "let a = b as! C", "fatalError(\"no\")", "Thread.sleep(1)",
            "usleep(1)", "sleep(1)", "_ = Glibc.sleep(1)", "nanosleep(&a, nil)", "sem_wait(&a)",
            "let a = DispatchSemaphore(value: 0)", "let a = \"\\(try! b())\"",
        ])
    func forbiddenCalls(_ line: String) {
        #expect(lines(source("\n" + line).forbiddenCalls()) == ["Sources/Trading/A.swift:2"])
    }

    @Test(
        "The same words in comments, in texts, and as parts of others",
        arguments: [
            "// try! b()", "let a = \"fatalError(\"", "let a = #\"as! \"B\" as!\"#",
            "let a = \"\"\"\n    try! \"b\"\n    \"\"\"", "nonfatalError(1)", "/* usleep(1) */",
            "try? await Task.sleep(for: a)", "try await sleep(.seconds(1))", "a.sleep(1)",
            "let a = \"\\\"try! \"",
        ])
    func allowedCalls(_ line: String) {
        #expect(source(line).forbiddenCalls().isEmpty)
    }

    @Test("Marks of unfinished work, in comments too")
    func unfinishedMarks() {
        #expect(lines(source("let a = 1  // TODO: b").unfinishedMarks()).count == 1)
        #expect(lines(source("let a = \"FIXME\"").unfinishedMarks()).count == 1)
        #expect(source("let TODOS = 1").unfinishedMarks().isEmpty)
    }

    @Test("Unchecked Sendable with and without a reason")
    func uncheckedSendable() {
        let bare = "/// A box.\nfinal class A: @unchecked Sendable {}"
        #expect(
            lines(source(bare).uncheckedSendableWithoutReason()) == ["Sources/Trading/A.swift:2"])
        let reasoned = """
            /// A box.
            ///
            /// Unchecked: one thread has it.
            @frozen
            final class A: @unchecked Sendable {
                struct B: @unchecked Sendable {
                }
            }
            final class C: @unchecked Sendable {}
            """
        #expect(
            lines(source(reasoned).uncheckedSendableWithoutReason()) == [
                "Sources/Trading/A.swift:9"
            ]
        )
    }

    @Test("Locks with and without a reason")
    func locks() {
        let bare = "/// A blocked flock.\nlet a = Mutex(1)"
        #expect(lines(source(bare).unexplainedLocks()) == ["Sources/Trading/A.swift:2"])
        #expect(source("/// The lock is for b.\nlet a = Mutex(1)").unexplainedLocks().isEmpty)
    }

    @Test("Binary floating point, by type and by literal")
    func floatingPoint() {
        let text = "let a: Double\nlet b = 1.5\nlet c = pair.0.1\nlet d = \"1.5\"  // a Float\n"
        #expect(
            lines(source(text).binaryFloatingPoint())
                == ["Sources/Trading/A.swift:1", "Sources/Trading/A.swift:2"])
        #expect(source(text, in: "Sources/Control").binaryFloatingPoint().isEmpty)
    }

    @Test("Long files")
    func longFiles() {
        let full = String(repeating: "let a = 1\n", count: 500)
        #expect(source(full).longFiles().isEmpty)
        #expect(lines(source(full + "let b = 1\n").longFiles()) == ["Sources/Trading/A.swift:501"])
    }

    @Test("Links and paths in documents")
    func documents() {
        let repository = Repository([
            "docs/A.md": """
            [b](../README.md#c) [d](gone.md)
            `Sources/Ledger/` `Sources/Gone/`
            ## What is it?
            """,
            "README.md":
                "# C\n[a](docs/A.md#what-is-it) [b](https://example.com/c)\n[c](docs/B.md)\n",
            "docs/C.md": "[a](A.md#what-it-is)\n",
            "Sources/Ledger/A.swift": "",
        ])
        #expect(lines(repository.deadLinks()) == ["README.md:3", "docs/A.md:1", "docs/C.md:1"])
        #expect(lines(repository.deadPaths()) == ["docs/A.md:2"])
    }

    @Test("Make targets in documents")
    func targets() {
        let repository = Repository([
            "Makefile": "NAME := a\nrun: build\n\ttrue\n",
            "README.md": "```\nmake run\nmake gone\n```\nUse `make bench`, and make sure.\n",
        ])
        #expect(lines(repository.unknownTargets()) == ["README.md:3", "README.md:5"])
    }

    @Test("A machine's own folders")
    func machinePaths() {
        let folder = "/" + "work/"
        let repository = Repository([
            "a.md": "see \(folder)main\nsee docs\(folder)main\n", "b.sh": "cd /var/lib\n",
        ])
        #expect(lines(repository.machinePaths()) == ["a.md:1"])
    }
}

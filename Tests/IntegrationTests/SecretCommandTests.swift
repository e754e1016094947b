import ExactJSON
import Foundation
import TestSupport
import Testing

extension RealProcesses {
    /// `opsd secret`, and what `opsd check` says of a configuration that is not in order.
    @Suite(.serialized) struct SecretCommandTests {
        private let directory: TemporaryDirectory

        init() throws {
            directory = try TemporaryDirectory()
        }

        /// Runs a line of shell in the directory, with `$OPSD` for the program.
        private func shell(_ line: String) async throws -> Desk.Outcome {
            try await Desk.command(
                ["-c", "OPSD='\(Desk.program)'; \(line)"], in: directory, program: "/bin/sh")
        }

        private func mode(_ name: String) throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: directory.path(name))[
                .posixPermissions] as? Int
        }

        @Test(.timeLimit(.minutes(1)))
        func aKeyIsForItsOwnerAndNeverWrittenOverAnother() async throws {
            let first = try await shell("umask 0; $OPSD secret keygen --out key")
            #expect(first.code == 0, "\(first)")
            #expect(try mode("key") == 0o600)
            let text = try String(contentsOfFile: directory.path("key"), encoding: .utf8)
            #expect(text.wholeMatch(of: /[0-9a-f]{64}\n/) != nil)
            #expect(!first.output.contains(text.prefix(8)))
            let second = try await shell("$OPSD secret keygen --out key")
            #expect(second.code == 4)
            #expect(second.errors.contains("key exists"))
            #expect(try String(contentsOfFile: directory.path("key"), encoding: .utf8) == text)
            let nowhere = try await shell("$OPSD secret keygen --out none/key")
            #expect(nowhere.code == 3, "\(nowhere)")
            // Without a configuration nothing says where the key belongs.
            let unknown = try await shell("$OPSD secret keygen")
            #expect(unknown.code == 2, "\(unknown)")
        }

        @Test(.timeLimit(.minutes(1)))
        func whatIsEncryptedOnTheCommandLineIsUnderstoodInTheConfiguration() async throws {
            let secret = "planted-secret-of-more-than-32-bytes"
            let lines = [
                "echo 'secrets: {key_file: key}' > opsd.yaml", "$OPSD secret keygen",
                "printf '\(secret)\\n' > plain", "value=$($OPSD secret encrypt < plain)",
                "echo \"accounts: [a.yaml]\" > opsd.yaml",
                "echo \"secrets: {key_file: key, jwt: \\\"$value\\\"}\" >> opsd.yaml",
                "echo 'accounts: [{account_id: A, account_type: data, alpaca_credentials: "
                    + "{api_key: k, secret_key: s}}]' > a.yaml",
                "$OPSD check && $OPSD check --json",
            ]
            let outcome = try await shell(lines.joined(separator: " && "))
            #expect(outcome.code == 0, "\(outcome)")
            #expect(outcome.output.contains("jwt: *** (36 bytes)"), "\(outcome)")
            #expect(!(outcome.output + outcome.errors).contains("planted"))
            // With another key the place is named, and the value is not.
            let wrong = try await shell("rm key && $OPSD secret keygen && $OPSD check")
            #expect(wrong.code == 2)
            #expect(wrong.errors.hasPrefix("opsd.yaml:2:31: jwt cannot be decrypted"), "\(wrong)")
            #expect(!wrong.errors.contains("planted"))
        }

        @Test(.timeLimit(.minutes(1)))
        func nothingIsEncryptedThatIsNoSecret() async throws {
            let setUp = "$OPSD secret keygen --out key"
            #expect(try await shell(setUp).code == 0)
            let encrypt = "$OPSD secret encrypt --key-file key"
            #expect(try await shell("printf '' | \(encrypt)").code == 2)
            #expect(try await shell("printf '\\n' | \(encrypt)").code == 2)
            #expect(try await shell("printf 'a\\0b' | \(encrypt)").code == 2)
            #expect(try await shell("printf '\\377' | \(encrypt)").code == 2)
            #expect(
                try await shell("head -c 2000000 /dev/zero | tr '\\0' a | \(encrypt)").code == 2)
            // The value is never an argument.
            #expect(try await shell("\(encrypt) secret-word").code == 2)
            let open = try await shell("chmod 644 key; printf a | \(encrypt)")
            #expect(open.code == 2)
            #expect(open.errors.contains("run 'chmod 600 key'"), "\(open)")
            let json = try await shell("chmod 600 key; printf a | \(encrypt) --json")
            #expect(json.output.hasPrefix("{\"value\":\"enc:v1:"), "\(json)")
        }

        @Test(.timeLimit(.minutes(1)))
        func aRefusedConfigurationIsOneObjectForPrograms() async throws {
            let outcome = try await shell(
                "printf 'nod: a\\nlisten: {ops: 1}\\n' > opsd.yaml; $OPSD check --json")
            #expect(outcome.code == 2)
            let findings = try #require(outcome.documents.last??["findings"]?.elements)
            #expect(findings.contains { $0["problem"]?.text?.contains("'nod'") == true })
            #expect(findings.contains { $0["line"]?.integer == 2 && $0["column"]?.integer == 15 })
        }

        @Test(.timeLimit(.minutes(1)))
        func theSchemaNeedsNoConfiguration() async throws {
            let outcome = try await shell(
                "$OPSD check --schema && $OPSD check --schema --of accounts")
            #expect(outcome.code == 0)
            #expect(outcome.output.contains("\"success_threshold\""))
            #expect(outcome.output.contains("\"alpaca_credentials\""))
        }
    }
}

import Foundation
import Ledger
import StrictYAML
import TestSupport
import Testing
import Trading

@testable import opsd

@Suite struct SecretTests {
    private let folder: ConfigurationFolder

    init() throws {
        folder = try ConfigurationFolder()
    }

    private func key() throws -> SecretKey { try SecretKey.load(folder.path("data/secret.key")) }

    private static let plain = "a-jwt-key-of-more-than-thirty-two-bytes"

    // MARK: The key

    @Test func whatIsEncryptedIsDecrypted() throws {
        let key = try key()
        for plain in ["x", Self.plain, "多字节 🔑", String(repeating: "long", count: 10_000)] {
            let text = try key.encrypt(plain)
            #expect(text.hasPrefix("enc:v1:"))
            #expect(plain.count == 1 || !text.contains(plain))
            #expect(try key.decrypt(text) == plain)
        }
    }

    @Test func theFormIsNonceCipherTextAndTagInBase64() throws {
        let text = try key().encrypt("12345")
        let bytes = try #require(Data(base64Encoded: String(text.dropFirst(7))))
        #expect(bytes.count == 12 + 5 + 16)
    }

    @Test func theNonceIsAnotherEachTime() throws {
        let key = try key()
        let texts = try (0..<1_000).map { _ in try key.encrypt("same") }
        #expect(Set(texts).count == texts.count)
    }

    /// Made by another implementation (Python's cryptography, AES-GCM) with the key 00…1f and the
    /// nonce 00…0b.
    @Test func whatOthersEncryptIsDecrypted() throws {
        let hex = (0..<32).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let key = try #require(SecretKey(hex: hex, file: "k"))
        #expect(
            try key.decrypt("enc:v1:AAECAwQFBgcICQoLJnaieqaO4nr5YfPqxodKZF6OIKVODqOj4nIkfxKE")
                == "attack at dawn")
    }

    @Test func everyAlteredByteIsFound() throws {
        let key = try key()
        let whole = try #require(
            Data(base64Encoded: String(try key.encrypt("secret").dropFirst(7))))
        for index in whole.indices {
            var bytes = whole
            bytes[index] ^= 1
            #expect(throws: DecryptionFailure.self) {
                try key.decrypt("enc:v1:" + bytes.base64EncodedString())
            }
        }
    }

    @Test(arguments: [
        "", "abc", String(repeating: "g", count: 64), String(repeating: "0", count: 63),
    ])
    func aFileWithoutAKeyIsRefused(_ text: String) throws {
        try folder.write("k", text)
        #expect {
            try SecretKey.load(folder.path("k"))
        } throws: {
            "\($0)".contains("holds no key of 64 hexadecimal digits")
        }
    }

    @Test(arguments: [0o640, 0o604, 0o660, 0o644, 0o610])
    func aKeyThatOthersMayUseIsRefusedWithTheRemedy(_ mode: Int) throws {
        try folder.write("k", SecretKey.newFileText(), mode: mode)
        let octal = "0" + String(mode, radix: 8)
        #expect(
            folder.refusal("secrets: {key_file: k}")
                == "opsd.yaml:1:21: key_file: others than its owner may use k (mode \(octal)); "
                + "run 'chmod 600 k'")
    }

    // MARK: In the files

    @Test func anyValueMayBeEncrypted() throws {
        let key = try key()
        let text = { (plain: String) in "\"" + ((try? key.encrypt(plain)) ?? "") + "\"" }
        let configuration = try folder.load(
            """
            node: \(text("desk-7"))
            listen: {ops: \(text("127.0.0.1:7777"))}
            secrets: {jwt: \(text(Self.plain))}
            engine: {queue: \(text("77"))}
            journal: {keep: \(text("7d")), roll_at: \(text("7MB"))}
            broker: {kind: \(text("alpaca")), live: \(text("https://a.example"))}
            paper_broker: {cash: \(text("7.5"))}
            """)
        #expect(configuration.node == "desk-7")
        #expect(configuration.listen.ops.port == 7_777)
        #expect(configuration.secrets.jwt.reveal() == Self.plain)
        #expect(configuration.engine.queue == 77)
        #expect(configuration.journal.rollAt == 7_000_000)
        #expect(configuration.broker.live.absoluteString == "https://a.example")
        #expect(configuration.paperBroker.cash.description == "7.5")
    }

    @Test func accountsMayBeEncryptedToo() throws {
        let file = folder.path("data/accounts/data_accounts.yaml")
        let cipher = try key().encrypt("SK-plain")
        try """
        data_accounts:
          - {account_id: D, alpaca_credentials: {api_key: a, secret_key: "\(cipher)"}}
        """.write(toFile: file, atomically: true, encoding: .utf8)
        let account = try folder.load("{}").accounts["D"]
        #expect(account?.credentials.secretKey.reveal() == "SK-plain")
        try folder.write("data/secret.key", SecretKey.newFileText())
        #expect(
            folder.refusal("{}")
                == "data/accounts/data_accounts.yaml:2:66: secret_key cannot be decrypted: it was "
                + "altered, or data/secret.key is not its key; "
                + "encrypt the value again with 'opsd secret encrypt'")
    }

    @Test func aWrongKeyIsNamedAndTheValueIsNot() throws {
        let other = try #require(
            SecretKey(hex: String(repeating: "ab", count: 32), file: "other"))
        let refusal = folder.refusal("secrets:\n  jwt: \(try other.encrypt(Self.plain))\n")
        #expect(
            refusal == "opsd.yaml:2:8: jwt cannot be decrypted: it was altered, or data/secret.key "
                + "is not its key; encrypt the value again with 'opsd secret encrypt'")
    }

    @Test func withoutItsKeyFileAnEncryptedValueSaysSo() throws {
        let cipher = try key().encrypt(Self.plain)
        try FileManager.default.removeItem(atPath: folder.path("data/secret.key"))
        #expect(
            folder.refusal("secrets: {jwt: \"\(cipher)\"}")
                == "opsd.yaml:1:16: jwt is encrypted, and its key is not at hand: cannot read "
                + "data/secret.key: No such file or directory; create it, or correct the path")
        // Nobody needs a key that nothing is encrypted with.
        #expect(try folder.warnings("{}") == "")
    }

    /// Whatever is wrong with what a decrypted value says, the value itself is not shown.
    @Test func aDecryptedValueDoesNotGetIntoAMessage() throws {
        let cipher = try key().encrypt("tell:nobody")
        let values = [
            "node", "time_zone", "listen: {ops", "engine: {queue", "journal: {keep",
            "journal: {roll_at", "broker: {kind", "broker: {live", "paper_broker: {cash",
            "paper_broker: {quotes", "operators: [{role: admin, name", "accounts: [{a",
            "services: {a: {command: [a], after: [core]}, core: {builtin", "health: [{name",
            "health: [{name: a, path: /, free_below", "health: [{name: a, service",
            "health: [{name: a, tcp", "health: [{name: a, file: f, stale_after",
            "paper_broker: {symbols: {AAPL", "services: {a: {command: [a], working_directory",
        ]
        for value in values {
            let refusal = folder.refusal(balanced("\(value): \"\(cipher)\""))
            #expect(refusal != "taken", "\(value)")
            #expect(!refusal.contains("nobody"), "\(refusal)")
        }
        let list = folder.refusal("accounts: [\"\(cipher)\"]")
        #expect(!list.contains("nobody"), "\(list)")
        let after = folder.refusal(
            "services: {a: {command: [a], after: [\"\(cipher)\"]}}")
        #expect(!after.contains("nobody"), "\(after)")
    }

    /// Closes the brackets that are still open at the end.
    private func balanced(_ text: String) -> String {
        var open: [Character] = []
        for character in text {
            if character == "{" { open.append("}") }
            if character == "[" { open.append("]") }
            if character == "}" || character == "]" { _ = open.popLast() }
        }
        return text + String(open.reversed())
    }

    // MARK: Files of others

    @Test func aSecretsFileThatOthersMayReadIsAWarningAndOneThatTheyMayWriteARefusal() throws {
        try folder.write("jwt", Self.plain, mode: 0o644)
        #expect(
            try folder.warnings("secrets: {jwt: \"${file:jwt}\"}")
                == "opsd.yaml:1:16: warning: others may read jwt (mode 0644); run 'chmod 600 jwt'")
        try folder.write("jwt", Self.plain, mode: 0o620)
        #expect(
            folder.refusal("secrets: {jwt: \"${file:jwt}\"}")
                == "opsd.yaml:1:16: others may write jwt (mode 0620); run 'chmod 600 jwt'")
        try folder.write("data/jwt.key", Self.plain, mode: 0o666)
        #expect(
            folder.refusal("{}")
                == "opsd.yaml:1:1: others may write data/jwt.key (mode 0666); "
                + "run 'chmod 600 data/jwt.key'")
    }
}

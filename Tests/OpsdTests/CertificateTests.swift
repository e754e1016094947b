import Foundation
import Ledger
import Testing

@testable import Verify
@testable import opsd

/// What a certificate states, and that nobody can make it state something else.
@Suite struct CertificateTests {
    private let folder: ConfigurationFolder
    private let layout: DataLayout

    init() throws {
        folder = try ConfigurationFolder()
        layout = DataLayout(
            try folder.load(
                """
                stores: {files: {kind: files, path: ./files}}
                datasets: {positions: {old: files}}
                """))
        try layout.prepare()
    }

    private static let place = JournalPlace(
        journal: "abc", applied: SequenceNumber(epoch: 1, number: 9), checksum: "0123456789abcdef")
    private static let now = Timestamp(microseconds: 1_795_253_400_000_000)

    private func certificate(
        _ verdicts: [Verdict] = [], provenSecondsAgo: Int64? = 60, reviews: [String] = []
    ) -> Certificate {
        var report = CheckReport(dataset: "positions", store: "files")
        report.rowsCompared = 3
        report.through = Self.place.applied
        report.digests = [
            DigestScope(dataset: "positions", account: "A"): Digest(sum: 255, count: 3)
        ]
        for verdict in verdicts {
            report.add(
                Difference(dataset: "positions", key: nil, verdict: verdict, problem: "why"))
        }
        let proven = provenSecondsAgo.map { Self.now.advanced(bySeconds: -$0) }
        return Certificate(
            of: Self.place, [Certificate.Copy(report, provenAt: proven, at: Self.now)],
            openReviews: reviews, at: Self.now)
    }

    @Test func whatIsSignedIsReadAgain() throws {
        let path = layout.root + "/statement"
        let key = try CertificateKey(layout)
        try SignedCertificate.write(certificate(), to: path, with: key)
        let read = try SignedCertificate(reading: path)
        #expect(read.isIntact)
        #expect(read.certificate == certificate())
        #expect(read.certificate.copies[0].provenAgeSeconds == 60)
        #expect(
            read.certificate.copies[0].digests == ["A": "000000000000000000000000000000ff:3"])
        #expect(read.publicKey == (try CertificateKey.existing(layout)?.publicKey))
        let mode = try FileManager.default.attributesOfItem(atPath: layout.certificateKey)
        #expect(mode[.posixPermissions] as? Int == 0o600)
    }

    /// Each byte of the statement and of the signature counts.
    @Test func whatWasChangedIsSeen() throws {
        let path = layout.root + "/statement"
        try SignedCertificate.write(certificate(), to: path, with: try CertificateKey(layout))
        let bytes = try #require(FileManager.default.contents(atPath: path))
        var intact = 0
        for place in bytes.indices {
            var changed = bytes
            changed[place] ^= 1
            try changed.write(to: URL(filePath: path))
            // Mostly it is no certificate any more.
            if let read = try? SignedCertificate(reading: path), read.isIntact { intact += 1 }
        }
        // Base64 has letters of which only some bits count.
        #expect(intact <= 2, "\(intact) of \(bytes.count)")
        try bytes.dropLast(20).write(to: URL(filePath: path))
        #expect(throws: CommandFailure.self) { try SignedCertificate(reading: path) }
        #expect(throws: CommandFailure.self) { try SignedCertificate(reading: path + "x") }
    }

    @Test func aKeyThatOthersMayReadIsRefused() throws {
        _ = try CertificateKey(layout)
        #expect(chmod(layout.certificateKey, 0o644) == 0)
        #expect(throws: CommandFailure.self) { try CertificateKey(layout) }
    }

    @Test func whateverIsOpenIsADoubt() {
        #expect(certificate().doubts == [])
        #expect(certificate([.corrupt]).doubts == ["positions in files: 1 corrupt"])
        #expect(certificate([.unknown]).doubts.count == 2)
        #expect(
            certificate(provenSecondsAgo: nil).doubts == ["positions in files was never proven"])
        #expect(certificate(reviews: ["r1"]).doubts == ["the repair r1 waits for a person"])
        let none = Certificate(of: Self.place, [], openReviews: [], at: Self.now)
        #expect(none.doubts == ["it is of no copy at all"])
    }
}

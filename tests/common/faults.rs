//! Ways to fail that more than one test knows.

use cloudsim::FaultKind;

/// Failures of any call after which the same may succeed later. Left out: what only some calls can have, lies
/// (tests/lying_cloud.rs), and the numbers after which a person has to act.
pub fn passing() -> Vec<FaultKind> {
    use FaultKind::*;
    vec![
        DropBefore,
        DropAfter,
        Status(503),
        Status(408),
        Status(429),
        Html(502),
        Html(200),
        Empty500,
        CutAnswer,
        JsonAsHtml,
        Huge(9 << 20),
        Errno(1),
        Errno(4),
        Errno(-31),
        Errno(42_000),
        ErrorCode(31_021),
        ErrorCode(31_034),
        ErrorCode(31_200),
    ]
}

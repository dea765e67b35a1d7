"""Keys that everybody has: the private halves ship with this package for simulated devices.

A server which takes part in anything real issues nothing for them and believes nothing they signed.
"""

import hashlib

FINGERPRINTS = frozenset(
    bytes.fromhex(fingerprint)
    for fingerprint in (
        "94ac9580d838d3346f58a03c206f2c5c562582517e75d97dbecd1f861c835889",
        "fa317b0df8dcff21377b85562a06604997d6b937b650be917998ec5174385413",
        "51be7688ec9000e77cf233879910d8a767755d82e8dffc35ab17bd4323f7c2b2",
        "8b6daac281bb087f8df292df010539019531754ffc9488b17be83b19ef2924e3",
        "295a5ba285f75c1b851f2eadce5353d5cdcecdfb28c319de38dd78d3fc16c57b",
        "2ce68541c1b38b0e67ae0c0f8f0dd24b670de02e2fcb4e269976c997e247fa7c",
        "66f87a5c68bb4950e0ce7d41a7cf7dd100ce70df62445e05635361572300fb28",
        "29ab95fbce8f5006e5a3c57d9a6572d1e6f1f897f05d2b3addc0de41eda76d02",
        "94ea5e2d578638979941f8cdeb236ff2b98c1ad9308e96238273742d686b852a",
        "cc35bb4c436c6a04bcf40518ac1509562c7a6d30a46eb057489e0693ed650bdd",
        "5e6c8e2f374d2db331f0c1c8a40ab93387f486b9b54481abeb74320be8f5974f",
        "73bc02df4401a0a268416460d3b21c7f5be03f73def5dc57d09f34748df648fe",
        "7620e18a69a19ce1f005f6d409bceebf59dba09ba8ed97e9437e5e72ee4c44f9",
        "3db63d6d962887208b34c9c8389e1559a9f05b3c8468a622729f800126986a38",
        "35da45dbf5a753367c6cc9f95b991c807b3a8b80c87f021168fd004d8e6ab622",
        "e43e23a7d2a4f401f4aa57186ae8907268fac29af3988409011da72572971439",
        "d767c94456347e2fa5d6d80dbb39569cc97aac759a8ae81ae74f4d5ab2b1fc50",
        "6d2580aed76733e83f0f57f3cba657bdada4182b31b98c1065a2c0153c568a4d",
        "2f05b84b1315152fb9b8e92adccba4218670cea8c3f882512a05cadd0789ef0c",
        "d0dad51b535b8846dd81f132cdafd81ebfd6690b1ec831fd6264169ae328951b",
        "9b93ac8db279faf0ec126d89a01250d5da373af64ae2fae1359fef520e1585b3",
        "1cbd3b0900c5eded26dfe4c5af147eb3799deaffb2b72fe39bc95804eb85cdb5",
        "e88831f63c3080e8630602d1dafe06c24d8b6d3041fc8467001bc056a9fba340",
        "aad16fe2228224cb21e74ea2c9d42fbb9ad0637ca3925b5e00491b5e937659e1",
        "fd9d847cf996ffddaf91d2b53f78fa2e01ceec2179378e5ff969ce4c07ead07d",
        "42da98683f91c5934f8b3cb2d78e92c942f8d5187bf481345b9035c3672e67d6",
        "50ff13a49713067f4923874527ad16654ef1289a8ad5004100ae7033b4c4c6f4",
        "516ea98e8280de4435b527e83a3d0b04bc56469e983a4e97ff99533831e3b630",
        "362bf00a74e8c604f24cab84772caa7c5c4f704202e7e9584526f875ca32f142",
        "3412c2b84607ddc2a968eae02e4a1cbaa7a095767ca6002a904527e0e059b5f1",
        "7af4c2d33cf6f67beebd1e1e2e571b33b62f50f8f47ae4e202c1d553948edbc2",
        "9790221558adbaa91ec1029a669a16908690fe758bdb630f317bdafbaf80f7c4",
    )
)
"""SHA-256 of the SubjectPublicKeyInfo (DER) of each key in `muster/simulator/keys/rsa2048.pem`."""


def is_well_known(public_key_der: bytes) -> bool:
    """Whether the private half of *public_key_der* (SubjectPublicKeyInfo, DER) is published with this package.

    The bytes are compared as they stand, not parsed; other keys that leaked elsewhere are not known here.
    """
    return hashlib.sha256(public_key_der).digest() in FINGERPRINTS

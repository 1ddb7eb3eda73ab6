"""Writes the demo's country and ASN databases and its indicator lists, byte for byte the same each time.

    pip install mmdb_writer && python3 make.py

The addresses are reserved ones only: the benchmark network of RFC 2544 (the generator's "internet") and the
documentation networks of RFC 5737 and RFC 3849, the AS numbers those of RFC 5398, the names those of RFC 2606. Countries and
organizations are invented; no public database was read.
"""
import ipaddress
import pathlib

import mmdb_writer
from netaddr import IPSet

HERE = pathlib.Path(__file__).parent
COUNTRIES = "US DE JP BR GB IN FR AU CA NL SG ZA KR SE PL MX".split()
# Each country's capital, by degrees north and east.
PLACES = {
    "US": (38.90, -77.04), "DE": (52.52, 13.40), "JP": (35.68, 139.69), "BR": (-15.79, -47.88), "GB": (51.51, -0.13),
    "IN": (28.61, 77.21), "FR": (48.86, 2.35), "AU": (-35.28, 149.13), "CA": (45.42, -75.70), "NL": (52.37, 4.90),
    "SG": (1.35, 103.82), "ZA": (-25.75, 28.19), "KR": (37.57, 126.98), "SE": (59.33, 18.07), "PL": (52.23, 21.01),
    "MX": (19.43, -99.13), "CN": (39.90, 116.41), "RU": (55.76, 37.62), "CH": (46.95, 7.45),
}
DOCUMENTATION = {"203.0.113.0/24": "CN", "192.0.2.0/24": "RU", "2001:db8::/32": "CH"}
# RFC 5398: 64496 to 64511 are for documentation.
SYSTEMS = [(64496 + i, f"{name} Example") for i, name in enumerate(
    "Alder Hosting,Birch Telecom,Cedar Cloud,Dogwood Mobile,Elm Research Network,Fir Broadband,Hazel CDN,Juniper Transit".split(","))]
DOMAINS = """domain,category,confidence
evil.example,c2,90
*.phish.example,phishing,70
login.phish.example,phishing,85
casino.example,scam,55
ads.example,adware,40
dga.test,c2,95
*.sinkhole.test,sinkhole,60
dropper.invalid,malware,80
"""
BUILD_EPOCH = 1_760_000_000


def demo_networks():
    """Each country's networks: the /24s of both benchmark /16s in turn, and the documentation networks."""
    networks = {}
    for half in ("198.18.0.0/16", "198.19.0.0/16"):
        for i, net in enumerate(ipaddress.ip_network(half).subnets(new_prefix=24)):
            networks.setdefault(COUNTRIES[i % len(COUNTRIES)], []).append(str(net))
    for net, code in DOCUMENTATION.items():
        networks.setdefault(code, []).append(net)
    return networks


def demo_record(code):
    """As GeoLite2-City lays it out."""
    latitude, longitude = PLACES[code]
    return {"country": {"iso_code": code}, "location": {"latitude": latitude, "longitude": longitude}}


def demo_systems():
    """Each autonomous system's networks: the benchmark network in /20s, two in turn, and the documentation networks."""
    networks = {}
    for i, net in enumerate(ipaddress.ip_network("198.18.0.0/15").subnets(new_prefix=20)):
        networks.setdefault(i % len(SYSTEMS), []).append(str(net))
    networks[0].append("203.0.113.0/24")
    networks[1].append("2001:db8::/32")
    return networks


def write_mmdb(name, kind, networks, record, ip_version=6, description="Invented countries on reserved networks"):
    writer = mmdb_writer.MMDBWriter(
        ip_version, kind, languages=["en"], description=description, ipv4_compatible=ip_version == 6, int_type="u32"
    )
    for key, nets in networks.items():
        writer.insert_network(IPSet(nets), record(key))
    path = HERE / name
    mmdb_writer.time.time = lambda: BUILD_EPOCH
    writer.to_db_file(str(path))
    print(path.name, path.stat().st_size, "bytes")


def write_intel():
    """200 indicators: 12 networks of 16 addresses, then single addresses spread over 198.19.0.0/16."""
    categories = ["c2", "phishing", "malware", "scanner", "tor-exit"]
    lines = ["ip,category,confidence"]
    for i in range(12):
        lines.append(f"198.19.{20 * i + 7}.{16 * i}/28,{categories[i % 5]},{50 + 4 * i}")
    for i in range(188):
        address = f"198.19.{(i * 37 + 3) % 256}.{(i * 91 + 200) % 254 + 1}"
        lines.append(f"{address},{categories[(i * 3 + 1) % 5]},{50 + (i * 7) % 50}")
    path = HERE.parent / "intel" / "demo.csv"
    path.write_text("\n".join(lines) + "\n")
    assert len(lines) == 201 and len({line.split(",")[0] for line in lines}) == 201
    print(path.name, len(lines) - 1, "indicators")
    (path.parent / "domains.csv").write_text(DOMAINS)


write_mmdb("demo-country.mmdb", "Palisade-Demo-Country", demo_networks(), demo_record)
write_mmdb("flat-country.mmdb", "Palisade-Flat-Country", {"CN": ["203.0.113.0/24"]}, lambda code: {"country_code": code}, 4)
ASNS = "Invented autonomous systems on reserved networks"
write_mmdb(
    "demo-asn.mmdb", "Palisade-Demo-ASN", demo_systems(), description=ASNS,
    record=lambda i: {"autonomous_system_number": SYSTEMS[i][0], "autonomous_system_organization": SYSTEMS[i][1]},
)
write_mmdb(
    "flat-asn.mmdb", "Palisade-Flat-ASN", {0: ["203.0.113.0/24"], 1: ["192.0.2.0/24"]}, ip_version=4, description=ASNS,
    record=lambda i: [{"asn": "AS64511", "as_name": "Flat Example"}, {"asn": "none"}][i],
)
write_intel()

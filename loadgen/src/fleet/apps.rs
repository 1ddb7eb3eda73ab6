//! Applications as App-ID names them, what they use, and what is found in them.

use std::collections::BTreeMap;

/// An application.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) name: &'static str,
    pub(crate) protocol: &'static str,
    pub(crate) port: u16,
    pub(crate) subcategory: &'static str,
    pub(crate) category: &'static str,
    pub(crate) technology: &'static str,
    pub(crate) risk: u8,
    pub(crate) characteristic: &'static str,
    /// URL category of its sessions.
    pub(crate) url_category: &'static str,
    /// Share of the sessions.
    weight: u8,
    /// True if its servers stand inside.
    pub(crate) is_internal: bool,
    /// Its place in [`APPS`].
    pub(crate) number: u8,
}

const fn app(name: &'static str, protocol: &'static str, port: u16, weight: u8, is_internal: bool) -> App {
    App {
        name,
        protocol,
        port,
        subcategory: "infrastructure",
        category: "networking",
        technology: "client-server",
        risk: 2,
        characteristic: "tunnel-other-application,pervasive-use",
        url_category: "any",
        weight,
        is_internal,
        number: 0,
    }
}

const fn web(name: &'static str, port: u16, weight: u8, risk: u8, subcategory: &'static str) -> App {
    App {
        subcategory,
        category: "general-internet",
        technology: "browser-based",
        risk,
        characteristic: "used-by-malware,able-to-transfer-file,has-known-vulnerability,pervasive-use",
        url_category: "computer-and-internet-info",
        ..app(name, "tcp", port, weight, false)
    }
}

/// The applications. Their ports are the only destination ports of background sessions.
pub(crate) static APPS: [App; 28] = numbered([
    web("ssl", 443, 26, 4, "encrypted-tunnel"),
    web("web-browsing", 80, 14, 4, "internet-utility"),
    web("ms-office365-base", 443, 9, 2, "office-programs"),
    web("google-base", 443, 8, 4, "internet-utility"),
    web("slack-base", 443, 4, 2, "instant-messaging"),
    web("github-base", 443, 3, 3, "internet-utility"),
    web("youtube-base", 443, 3, 4, "photo-video"),
    web("dropbox-base", 443, 2, 4, "file-sharing"),
    web("jenkins", 8080, 1, 3, "software-development"),
    app("dns-base", "udp", 53, 12, false),
    app("quic-base", "udp", 443, 4, false),
    app("ntp-base", "udp", 123, 2, false),
    app("zoom-base", "udp", 8801, 2, false),
    app("sip", "udp", 5060, 1, false),
    app("smtp-base", "tcp", 25, 1, false),
    app("imap", "tcp", 993, 1, false),
    app("ftp", "tcp", 21, 1, false),
    app("bittorrent", "tcp", 6881, 1, false),
    app("ping", "icmp", 0, 1, false),
    app("ssh", "tcp", 22, 2, true),
    app("ms-rdp", "tcp", 3389, 1, true),
    app("ms-ds-smbv3", "tcp", 445, 4, true),
    app("ldap", "tcp", 389, 3, true),
    app("kerberos", "tcp", 88, 2, true),
    app("postgres", "tcp", 5432, 1, true),
    app("mssql-db-encrypted", "tcp", 1433, 1, true),
    app("snmpv2", "udp", 161, 1, true),
    app("syslog", "udp", 514, 1, true),
]);

const fn numbered<const N: usize>(mut apps: [App; N]) -> [App; N] {
    let mut at = 0;
    while at < N {
        apps[at].number = at as u8;
        at += 1;
    }
    apps
}

/// An index into [`APPS`] for each unit of weight: drawing an application is drawing an index. `learned` weights go before
/// the usual ones, if there are any.
pub(crate) fn weighted(learned: &BTreeMap<String, u32>) -> Vec<u8> {
    let has_learned = learned.values().any(|w| *w > 0);
    let weight = |app: &App| match learned.get(app.name) {
        Some(weight) if has_learned => *weight as usize,
        _ if has_learned => 0,
        _ => usize::from(app.weight),
    };
    (0u8..).zip(&APPS).flat_map(|(i, app)| std::iter::repeat_n(i, weight(app))).collect()
}

/// What a device's threat prevention found.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) subtype: &'static str,
    pub(crate) name: &'static str,
    pub(crate) id: u32,
    pub(crate) category: &'static str,
    pub(crate) severity: &'static str,
    pub(crate) direction: &'static str,
    pub(crate) action: &'static str,
}

impl Signature {
    /// OCSF's number of the severity.
    pub(crate) fn severity_id(&self) -> i32 {
        match self.severity {
            "low" => 2,
            "medium" => 3,
            "high" => 4,
            "critical" => 5,
            _ => 1,
        }
    }

    /// True if what follows it matters: high or critical.
    pub(crate) fn is_grave(&self) -> bool {
        self.severity_id() >= 4
    }
}

const fn found(subtype: &'static str, name: &'static str, id: u32, category: &'static str) -> Signature {
    Signature { subtype, name, id, category, severity: "high", direction: "client-to-server", action: "reset-both" }
}

/// Signatures. Names with commas are quoted in CSV.
pub(crate) static SIGNATURES: [Signature; 8] = [
    Signature {
        severity: "critical",
        ..found("vulnerability", "Apache Log4j Remote Code Execution Vulnerability", 91991, "code-execution")
    },
    found("vulnerability", "HTTP SQL Injection Attempt, \"UNION SELECT\"", 30514, "sql-injection"),
    Signature {
        severity: "medium",
        action: "alert",
        ..found("vulnerability", "SSH User Authentication Brute Force Attempt", 40015, "brute-force")
    },
    found("spyware", "Cobalt Strike Beacon Command and Control Traffic Detection", 86445, "command-and-control"),
    Signature {
        severity: "medium",
        action: "sinkhole",
        ..found("spyware", "Suspicious DNS Query (generic:updates.example)", 12000000, "dns")
    },
    Signature {
        severity: "low",
        action: "alert",
        ..found("spyware", "Suspicious User-Agent Strings, short", 14984, "spyware")
    },
    Signature { direction: "server-to-client", ..found("virus", "Virus/Win32.WGeneric.dyxeh", 415838373, "pe") },
    Signature {
        direction: "server-to-client",
        severity: "medium",
        ..found("virus", "Eicar Test File", 100000, "code")
    },
];

/// Those that are grave, or those that are not.
pub(crate) fn signatures(is_grave: bool) -> Vec<&'static Signature> {
    SIGNATURES.iter().filter(|s| s.is_grave() == is_grave).collect()
}

/// The application of a port; encrypted web where none is known.
pub(crate) fn app_of(port: u16) -> &'static App {
    APPS.iter().find(|a| a.port == port && a.protocol == "tcp").unwrap_or(&APPS[0])
}

/// The application of that name; encrypted web where none is known.
pub(crate) fn app_named(name: &str) -> &'static App {
    APPS.iter().find(|a| a.name == name).unwrap_or(&APPS[0])
}

/// Host, path, URL category. Commas and quotes are part of real URLs.
pub(crate) const URLS: [(&str, &str, &str); 14] = [
    ("www.example.com", "/", "computer-and-internet-info"),
    ("portal.office.example", "/owa/auth.owa", "business-and-economy"),
    ("cdn.example.net", "/assets/app.9f3c1b.js", "content-delivery-networks"),
    ("api.example.org", "/v1/items?ids=17,18,19&sort=desc", "web-based-email"),
    ("search.example.com", "/search?q=%22quarterly+report%22&hl=en", "search-engines"),
    ("news.example", "/2026/01/05/markets,rates,and-you.html", "news"),
    ("video.example", "/watch?v=dQw4w9WgXcQ&t=42", "streaming-media"),
    ("git.example.dev", "/org/repo.git/info/refs?service=git-upload-pack", "computer-and-internet-info"),
    ("shop.example", "/cart?add={\"sku\":\"A-1\",\"qty\":2}", "shopping"),
    ("updates.example", "/feed.xml", "unknown"),
    ("files.example", "/share/2026/budget.xlsx", "online-storage-and-backup"),
    ("ads.example", "/pixel.gif?u=1a2b3c", "web-advertisements"),
    ("casino.example", "/lobby", "gambling"),
    ("login.example", "/oauth2/authorize?client_id=77&scope=openid,profile", "business-and-economy"),
];

/// User agents.
pub(crate) const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "curl/8.11.0",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn background_ports_are_far_fewer_than_half_a_scan() {
        let ports: BTreeSet<u16> = APPS.iter().map(|a| a.port).collect();
        assert!(ports.len() < 40, "{}", ports.len());
    }

    #[test]
    fn weights_count_the_shares() {
        let weighted = weighted(&BTreeMap::new());
        assert_eq!(weighted.len(), APPS.iter().map(|a| usize::from(a.weight)).sum::<usize>());
        assert_eq!(weighted.iter().filter(|i| **i == 0).count(), 26);
        assert_eq!(super::weighted(&BTreeMap::from([("ssh".to_owned(), 3)])), [19, 19, 19]);
    }
}

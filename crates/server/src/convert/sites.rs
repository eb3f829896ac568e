//! Host names that apps are led to under.

use proximity_api::apps::{AppSite, CertificateFiles};
use proximity_domain::names::BadName;
use proximity_domain::site::{self, Site};
use proximity_store::records;

use crate::extract::invalid;
use crate::refusal::Refusal;

/// The site of a request, if it has a host name.
///
/// # Errors
/// The name or a path breaks its rule, or there is a certificate and no name that it is for.
pub(crate) fn site(
    host_name: Option<&str>,
    certificate: Option<&CertificateFiles>,
) -> Result<Option<Site>, Refusal> {
    let Some(name) = host_name else {
        return match certificate {
            None => Ok(None),
            Some(_) => {
                let message = "a certificate is for a host name, and there is none";
                Err(invalid("host_name", message.to_owned()))
            }
        };
    };
    // People write them in either case, and mean the same.
    let name = name.to_ascii_lowercase();
    let name = name
        .parse()
        .map_err(|e: BadName| invalid("host_name", e.to_string()))?;
    let files = certificate.cloned().map(|files| {
        let read = site::CertificateFiles::new(files.cert_file, files.key_file);
        read.map_err(|e| invalid("certificate", e.to_string()))
    });
    Ok(Some(Site {
        name,
        certificate: files.transpose()?,
    }))
}

/// As it is shown.
pub(crate) fn shown_site(of: records::AppSite) -> AppSite {
    let certificate = of.site.certificate.map(|files| CertificateFiles {
        cert_file: files.cert_file,
        key_file: files.key_file,
    });
    AppSite {
        host_name: of.site.name.into(),
        certificate,
        url: of.url,
        trouble: of.trouble,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(cert_file: &str) -> CertificateFiles {
        CertificateFiles {
            cert_file: cert_file.to_owned(),
            key_file: "/tls/key.pem".to_owned(),
        }
    }

    #[test]
    fn a_host_name_is_read_in_either_case_and_files_only_with_one() {
        assert!(matches!(site(None, None), Ok(None)));
        let read = |name: &str, certificate| site(Some(name), certificate).ok().flatten();
        let blog = read("Blog.Example.org", None).unwrap();
        assert_eq!(blog.name.as_str(), "blog.example.org");
        assert!(blog.certificate.is_none());
        let whole = files("/tls/cert.pem");
        let blog = read("blog.example.org", Some(&whole)).unwrap();
        assert_eq!(blog.certificate.unwrap().cert_file, "/tls/cert.pem");
        assert!(site(None, Some(&whole)).is_err());
        assert!(site(Some("blog"), None).is_err());
        assert!(site(Some("10.0.0.1"), None).is_err());
        assert!(site(Some("blog.example.org"), Some(&files("cert.pem"))).is_err());
    }
}

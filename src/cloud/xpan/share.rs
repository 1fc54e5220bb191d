//! Share links: set, verify, list, shorturlinfo, transfer (xpan-share).
//!
//! Verify, list and shorturlinfo want no token; the first and transfer want `Referer: pan.baidu.com`. The key
//! of a link comes percent-encoded (`randsk`) and is sent in a query that the samples write as it came, so
//! that it is decoded here once and encoded like every other value.

use super::item::items;
use super::listing::{number, numbers, refuse};
use super::manage::{fared, task, tells_each};
use super::wire::shares::{Info, Listed, Made, Transferred, Verified};
use super::{Call, LARGE, Xpan, answer, codes};
use crate::cloud::files::{OnDup, Run, Task};
use crate::cloud::http;
use crate::cloud::shares::{Link, LinkInfo, MOST_SHARED, Period, Save, Saved, Share, Shared};
use crate::cloud::{BoxFuture, Code, Cursor, Error, Kind, Page, Result, Shares};
use crate::config;
use crate::content::Md5;

const PATH: &str = "/rest/2.0/xpan/share";
const REFERER: &str = "pan.baidu.com";
/// `schannel` of a link with a password.
const PRIVATE: &str = "4";
/// Files a page: the documents' default.
const PAGE: u64 = 100;

/// What an account needs to make links: given out by the vendor, beside the documents.
pub(super) struct Sharing {
    third_type: Option<String>,
    secret: Option<config::Secret>,
}

impl Sharing {
    pub(super) fn of(account: &config::Account) -> Self {
        let third_type = account.share_type.map(|number| number.to_string());
        Self { third_type, secret: account.share_secret.clone() }
    }
}

/// 其他说明: md5(third_type . fid_list . schannel . secret).
fn csign(third_type: &str, fid_list: &str, secret: &str) -> String {
    Md5::of(format!("{third_type}{fid_list}{PRIVATE}{secret}")).to_string()
}

/// The key of a link as it really is, however often it was copied.
fn key(text: &str) -> String {
    if text.contains('%') { http::decode(text) } else { text.to_owned() }
}

/// The link as `verify` and `list` name it, its short form under `short`.
fn named<'a>(link: &'a Link, short: &'static str) -> Vec<(&'static str, &'a str)> {
    match link {
        Link::Short { surl, .. } => vec![(short, surl)],
        Link::Numbers { shareid, uk } => vec![("shareid", shareid), ("uk", uk)],
    }
}

/// Whether it names something: 0 is nothing.
fn is_id(id: &str) -> bool {
    !matches!(id.trim(), "" | "0")
}

fn id(id: Option<String>) -> Option<String> {
    id.filter(|id| is_id(id))
}

impl Xpan {
    /// 创建附件
    async fn make_share(&self, ids: &[String], period: Period, description: &str) -> Result<Share> {
        let endpoint = "share set";
        let (Some(third_type), Some(secret)) = (&self.sharing.third_type, &self.sharing.secret) else {
            let words = "share_type and share_secret are not in the configuration of this account: the vendor \
                         gives them out (netdisk-union@baidu.com)";
            return Err(Error::new(Kind::Local, endpoint, words).unsent());
        };
        if ids.len() > MOST_SHARED {
            let words = format!("{} files were given at once; the cloud takes {MOST_SHARED}", ids.len());
            return Err(refuse(endpoint, words));
        }
        if ids.is_empty() {
            return Err(refuse(endpoint, "there is no file to share"));
        }
        let fid_list = numbers(endpoint, ids)?;
        let csign = csign(third_type, &fid_list, secret.secret());
        let period = match period {
            Period::Forever => "0",
            Period::Day => "1",
            Period::Week => "7",
        };
        let form = [
            ("fid_list", fid_list.as_str()),
            ("schannel", PRIVATE),
            ("period", period),
            ("third_type", third_type),
            ("description", description),
            ("csign", &csign),
        ];
        let path = "/rest/2.0/xpan/share/set";
        let secrets = [secret.secret()];
        let call = Call { form: Some(&form), secrets: &secrets, ..Call::to(endpoint, path, &[]) };
        let made: Made = self.ask(call, answer::read).await?;
        let missing = |what| answer::broken(endpoint, format!("the answer has no {what}"));
        let link = made.link.filter(|link| !link.is_empty()).or_else(|| made.shorturl.clone());
        Ok(Share {
            shareid: made.shareid.ok_or_else(|| missing("shareid"))?,
            uk: made.uk.unwrap_or_default(),
            link: link.ok_or_else(|| missing("link"))?,
            shorturl: made.shorturl.unwrap_or_default(),
            pwd: made.pwd.unwrap_or_default(),
            expired_type: made.expired_type.unwrap_or(0),
            ctime: made.ctime,
        })
    }

    /// 附件密码验证
    async fn verify_share(&self, link: &Link, pwd: &str) -> Result<String> {
        let endpoint = "share verify";
        let mut query = vec![("method", "verify")];
        query.extend(named(link, "surl"));
        let mut form = vec![("pwd", pwd), ("redirect", "0")];
        form.extend(self.sharing.third_type.as_deref().map(|number| ("third_type", number)));
        let secrets = [pwd];
        let call = Call {
            form: Some(&form),
            referer: Some(REFERER),
            secrets: &secrets,
            ..Call::to(endpoint, PATH, &query)
        };
        let verified: Verified = self.ask_without_token(call, answer::read).await?;
        let randsk = verified.randsk.filter(|key| !key.is_empty());
        randsk.map(|text| key(&text)).ok_or_else(|| answer::broken(endpoint, "the answer has no randsk"))
    }

    /// 获取附件中的文件列表. A full page means that there may be another.
    async fn list_share(
        &self,
        link: &Link,
        sekey: &str,
        fid: Option<&str>,
        after: Option<u64>,
    ) -> Result<Shared> {
        let page = after.unwrap_or(1);
        let (number, num, sekey) = (page.to_string(), PAGE.to_string(), key(sekey));
        let mut query = vec![("method", "list")];
        query.extend(named(link, "shorturl"));
        query.extend([("page", number.as_str()), ("num", &num), ("sekey", &sekey)]);
        query.push(fid.map_or(("root", "1"), |fid| ("fid", fid)));
        let secrets = [sekey.as_str()];
        let call = Call { limit: LARGE, secrets: &secrets, ..Call::to("share list", PATH, &query) };
        let listed: Listed = self.ask_without_token(call, answer::read).await?;
        let next = (listed.list.len() as u64 >= PAGE).then(|| Cursor::at(page + 1));
        Ok(Shared {
            shareid: id(listed.shareid).or(id(listed.share_id)).unwrap_or_default(),
            uk: id(listed.uk).unwrap_or_default(),
            title: listed.title.unwrap_or_default(),
            page: Page { entries: items(listed.list, false), next },
        })
    }

    /// 查询附件链接信息: "只要接口正常返回数据就可以，无需关心errno". "linksource+shorturl 或者shareid+uk 这2组参数必须有一组":
    /// of a link without a `linksource` the numbers are asked for first.
    async fn share_info(&self, link: &Link, spd: &str) -> Result<LinkInfo> {
        let endpoint = "shorturlinfo";
        let numbers = match link {
            Link::Short { linksource, .. } if linksource.is_empty() => {
                let Shared { shareid, uk, .. } = self.list_share(link, spd, None, None).await?;
                (is_id(&shareid) && is_id(&uk)).then_some(Link::Numbers { shareid, uk })
            }
            _ => None,
        };
        let link = numbers.as_ref().unwrap_or(link);
        let mut query = named(link, "shorturl");
        if let Link::Short { linksource, .. } = link
            && !linksource.is_empty()
        {
            query.push(("linksource", linksource));
        }
        let spd = key(spd);
        if !spd.is_empty() {
            query.push(("spd", &spd));
        }
        let secrets = [spd.as_str()];
        let call = Call { secrets: &secrets, ..Call::to(endpoint, "/api/shorturlinfo", &query) };
        let has_data = |info: &Info| info.shareid.as_deref().is_some_and(is_id);
        let info: Info = self
            .ask_without_token(call, |answer| {
                answer::read_despite(answer, |error, info| error.number().is_some() && has_data(info))
            })
            .await?;
        if !has_data(&info) {
            return Err(answer::broken(endpoint, "the answer has no shareid"));
        }
        Ok(LinkInfo {
            shareid: info.shareid.unwrap_or_default(),
            uk: id(info.uk).or(id(info.uk_str)).unwrap_or_default(),
            expire_days: info.expire_days,
            ctime: info.ctime,
            fcount: info.fcount,
        })
    }

    /// 附件文件转存. The sample has `shareid` and `from` in the address, the table in the form: they are in both.
    async fn save_share(&self, ask: &Save, run: Run) -> Result<Saved> {
        let endpoint = "share transfer";
        let ondup = match ask.ondup {
            OnDup::Fail => None,
            OnDup::NewCopy => Some("newcopy"),
            OnDup::Overwrite | OnDup::Skip => {
                let words = "a transfer keeps both files or fails; it can neither overwrite nor skip";
                return Err(refuse(endpoint, words));
            }
        };
        if ask.ids.is_empty() {
            return Err(refuse(endpoint, "there is no file to save"));
        }
        let (fsidlist, sekey) = (numbers(endpoint, &ask.ids)?, key(&ask.sekey));
        let run = if run == Run::Sync { "0" } else { "1" };
        let share = [("shareid", ask.shareid.as_str()), ("from", &ask.uk)];
        let query = [&[("method", "transfer")], &share[..]].concat();
        let mut form =
            vec![("sekey", sekey.as_str()), ("fsidlist", &fsidlist), ("path", &ask.path), ("async", run)];
        form.extend(share);
        form.extend(ondup.map(|ondup| ("ondup", ondup)));
        let secrets = [sekey.as_str()];
        let call = Call {
            form: Some(&form),
            limit: LARGE,
            referer: Some(REFERER),
            secrets: &secrets,
            ..Call::to(endpoint, PATH, &query)
        };
        let answer: Transferred = self
            .ask(call, |answer| {
                answer::read_despite(answer, |error, answer: &Transferred| {
                    tells_each(error, &answer.info, ask.ids.len())
                })
            })
            .await?;
        if let Some(number) = answer.newno.filter(|number| *number != 0 && answer.info.is_empty()) {
            let code = Code::Errno(number);
            let (kind, words) = codes::meaning(endpoint, &code, "", 200);
            return Err(Error::new(kind, endpoint, words).with_code(code));
        }
        let ways = answer.extra.unwrap_or_default().list.into_iter().filter_map(|way| way.0);
        let asked: Vec<&str> = ask.ids.iter().map(String::as_str).collect();
        Ok(Saved {
            taskid: task(answer.taskid).or(task(answer.task_id)),
            // -9 of one file is not the password's.
            info: fared("share item", answer.info, &asked),
            saved: ways.filter_map(|way| way.from.zip(way.to)).collect(),
        })
    }
}

impl Shares for Xpan {
    fn set<'a>(
        &'a self,
        ids: &'a [String],
        period: Period,
        description: &'a str,
    ) -> BoxFuture<'a, Result<Share>> {
        Box::pin(self.make_share(ids, period, description))
    }

    fn verify<'a>(&'a self, link: &'a Link, pwd: &'a str) -> BoxFuture<'a, Result<String>> {
        Box::pin(self.verify_share(link, pwd))
    }

    fn list<'a>(
        &'a self,
        link: &'a Link,
        sekey: &'a str,
        fid: Option<&'a str>,
        after: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Shared>> {
        Box::pin(self.list_share(link, sekey, fid, number(after)))
    }

    fn info<'a>(&'a self, link: &'a Link, spd: &'a str) -> BoxFuture<'a, Result<LinkInfo>> {
        Box::pin(self.share_info(link, spd))
    }

    fn transfer<'a>(&'a self, ask: &'a Save, run: Run) -> BoxFuture<'a, Result<Saved>> {
        Box::pin(self.save_share(ask, run))
    }

    fn taskquery<'a>(&'a self, taskid: &'a str) -> BoxFuture<'a, Result<Task>> {
        Box::pin(self.query_task(taskid, "share item"))
    }
}

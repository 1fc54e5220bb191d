//! A call with a token, and once more when the token turns out to be refused.

use super::{Code, Error, Kind, Result, Token, TokenSource};

/// Makes a call with a token; if the token is refused, once more with a renewed one.
pub(super) async fn with_token<T, F, Answer>(tokens: &dyn TokenSource, call: F) -> Result<T>
where
    F: Fn(Token) -> Answer,
    Answer: Future<Output = Result<T>>,
{
    let token = tokens.token().await?;
    match call(token.clone()).await {
        Err(Error { kind: Kind::Unauthorized, .. }) => {
            let renewed = tokens.renew(&token).await?;
            let answer = call(renewed.clone()).await;
            // A word of the cloud's own, other than that it refuses this one too.
            let is_taken = match &answer {
                Ok(_) => true,
                Err(error) => {
                    error.kind != Kind::Unauthorized && !matches!(error.code, None | Some(Code::Http(_)))
                }
            };
            if is_taken {
                tokens.proved(&renewed).await;
            }
            answer
        }
        answer => answer,
    }
}

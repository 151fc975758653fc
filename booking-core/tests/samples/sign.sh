#!/bin/sh
# The signatures of the webhooks in this folder, computed by OpenSSL: what Razorpay signs is the body, what Stripe signs
# is a time, a full stop, and the body.
cd "$(dirname "$0")" || exit 1
sign() { openssl dgst -sha256 -hmac "secret of the samples" | sed 's/.*= //'; }
for file in razorpay/payment_*.json; do
    echo "$(sign <"$file")  $file"
done
echo "$( (printf '1790000000.' && cat stripe/event.json) | sign)  stripe/event.json"

/// Keys that tests and fuzz targets verify with. They protect nothing.
package enum SampleKeys {
    /// Its private half is in the tests of the tokens.
    package static let rsaPublic = """
        -----BEGIN PUBLIC KEY-----
        MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0Gr4ciSa4kqo9Q1mva1g
        RRXuUT6aAKSTc8DzL9hOYuSHIOKfrVaZcE9CVRpGXMa6io78eZ4ljRyprf9/n87t
        o06wlk0Oy2Kdl/vQumXmMnKXkzQLU69NQjOoNIQOJfyEWkjFOZTtZqrzpHy3z9M2
        DlvOV3NUAHAEqbnhtc8nh7DuTPjhp5EE19o0sxPTkwKh19LQGhjHG1YpZanxveSj
        VEGMqm4WWzUrpI6NjmfBl8jLdTL5MS8zWkvfcIvvfjOtY5iPjNcFzczUE2OcE1Df
        OSKv0qkKM9IJfB8RHiSaSptrNrF7LQo5xGGHKZ9gTRz3mRzVCs9MQ1zxJj7tEaSU
        0QIDAQAB
        -----END PUBLIC KEY-----
        """
}

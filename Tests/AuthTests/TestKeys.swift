/// Keys for tests only, made for this file. Never use them for anything else.
enum TestKeys {
    static let rsaPrivate = """
        -----BEGIN PRIVATE KEY-----
        MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQCb5HyYGbDQSCdW
        vpTxvvd3gK9bgdTq2n3z4079w+oRp/7L+CKxDBc6aU8rOT6Z3qe8boq4gjvyhIxb
        KSFznSaimia6on6y9phb6qVDI/X/pEvyINdHT9lM7o19bVtdfz1dUEz9Hh4DOlgl
        y2S0Nb4vpVFH8qIfe1iCJMq12++bZDpdCBVbDLdxKBiei4CDWtrrXCr5ueh3Gd6u
        7iDfuQ8E/v0dJGxENRvi+v2yiZCIY8nNxM3ngd4x78Z63/yq9Bpiex5+gIQ6Vdc8
        O4B05l6hAXWHFL1657T43hBorgEmpdWCBAtEg3Cf56TFLUnEho3s1QlhIv5MtKRB
        InmjbM7jAgMBAAECggEACMEjau7zjH2miHjA+qvihsu0lnIG2iwQz/cz1zFjtL/7
        6re2OCvLuLaF9/8S5vmeXIkbzQ170Q6kpuLEWoD4sD+omvuHiYSYWH4574Go1teV
        FIfHvyY/SfcSIlSOeHIuBDwj/GTu8K7AUBDAEcuOjGttCSyHO4Bc1khyOPD4ce2m
        v/C/Bkezpov2aTPe39PqDYs751Q0WfLTd4z4hyAPrDA/+kHKsPVSLlRLSrQf0gxZ
        swZXcLFOswOiGb0dAj/uNKao3C8WXxCLffdNZLADGolfQLMYpSeWylFOd91BiOqK
        cxIU0Qg8wxwSii4pVSNkE0H79VujRA0jUo2Yv0fWMQKBgQDPbHXPleukWpK+dLj1
        j4mEnlH84JDzOC0IMLpw3DLNPuGgHnZdDnnmoAMTARWBHWaExHBz/DOwV4Kd/0lj
        a0/S/TkltdSmMi2c494HSN+bI1lkzgbRkNDV9xiscf3FhFabqxhduNgj5Gn3SXOW
        a6lNAcUuArIBc35rPCgi/HQ9kQKBgQDAZpzEs9VJFopvOR7guqKvxBbIo042wRdr
        IhIx1T841ARSEtzqZWSUBQNwrYd13E7dSeqqIKyeAkAWEZD41iAwwi6p4XPmEfiA
        e/Qgew0polIKhvU77xTNmA9veoQTRzPW1IiazTbc/McwyYHwShAFeaH+gH+Z7FZO
        0ppyN0JbMwKBgQCmJIwhIEbFOL89yqS0HKrcDSxCz2WLS73WR6Gu8NHIUMvMw1mv
        o/7EWfrcaAvfhbsuMWKZpLOKVi4LfAY+miAwMiBqMkEIdjzO5D5du2NQEnpyIgyY
        I9UC7Y9X4V6RrTTqL5uuxnZqGXU/XBg3rjjHs9lKx2Hpg6cJIgBMNcat4QKBgGOT
        N8Ndxx7ieZcCmwZ30UbiV2BTlGEmIfaiVYRQ9z10DSBk/syY2Sr6RUOFq7vF31ML
        tFWEP5IvW/eP89W1DEfv17K4KgGCf3gPrtM4nCFWDtu/6R+xprSY5DQv1jcb/KpM
        qL5lQuWwNW78ezFfQ1dyEfLjkiaZeDmnKaO/EaqdAoGBALaAdLZYb9cZ76NoFwdp
        o9srYbCm/FW9oK0l7kWEOcyj1M6om1MhovUFYKLKVWlJHECB8YSxDJS9ho1xU4BW
        Ni1LABKtfB1HU08UGWs7PFLL2qNP6sjo2qoNxWdl88YPpE8fpE4Lt4ocQerj382d
        Pc7SwLvzdmEL4IvzaNKZDfoc
        -----END PRIVATE KEY-----
        """

    static let rsaPublic = """
        -----BEGIN PUBLIC KEY-----
        MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAm+R8mBmw0EgnVr6U8b73
        d4CvW4HU6tp98+NO/cPqEaf+y/gisQwXOmlPKzk+md6nvG6KuII78oSMWykhc50m
        opomuqJ+svaYW+qlQyP1/6RL8iDXR0/ZTO6NfW1bXX89XVBM/R4eAzpYJctktDW+
        L6VRR/KiH3tYgiTKtdvvm2Q6XQgVWwy3cSgYnouAg1ra61wq+bnodxneru4g37kP
        BP79HSRsRDUb4vr9somQiGPJzcTN54HeMe/Get/8qvQaYnsefoCEOlXXPDuAdOZe
        oQF1hxS9eue0+N4QaK4BJqXVggQLRINwn+ekxS1JxIaN7NUJYSL+TLSkQSJ5o2zO
        4wIDAQAB
        -----END PUBLIC KEY-----
        """

    static let otherRSAPrivate = """
        -----BEGIN PRIVATE KEY-----
        MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDYxQVhiD2H/GYC
        aagfBaR84VF/Bcev7FX3mN1eNWBJZRLfsljGSbe8/aeASkwcaz7XlYSv2b2E3GNJ
        Dm6xCJ8LvwfzRFmg5v+NxC58zpYZX1XuWTN+oX7ya4Kxb4Hr5LqdAbPoUtMDaX5a
        n/f71o1jsmI8p5tJtmpHRSDKZlg9C/kBm8Gt9x78NcmwAbTFrPmyie6popuTyL6C
        aUqeEqoivFBhnQw+jZjo/HYezGNgA4qlJZ9Zqfj4L5ZxTVcR0R29kYcXjA4bPY21
        QoQHxVNrcDrcX4xdEjH6Un0OXhB+ZHc35K24dg28y0B4v39wkyEbUdEVbsKmCviE
        Ugird/TXAgMBAAECggEAOGyYaPnQomwFlY0xENokJcl0sC6t+tH20ps8y//yz0f6
        8LV4vCyGIjCYgCFWzHLyCaXGwwtXdJT1VxflojlPRPx1slHRTruyO5GcVCpmEbaq
        JH+dktGwvKNVgqA23lNMa//8d3XPrWyxUh+fqjL/3LqbLZSnLDnKUkDhNy4Ku+C+
        SpYjEMOx8AfsbcnxpolGYNgXyKZ/2qNl3sl9EP+cwZzhakYhtBKQLR8VX/T/WG+U
        bH6MiUQv9QqzCz/lS3xmSHK2HTzKYoVhpWOSBuhemYWwOoFqst6/N57Utlr/jVtc
        ILyJ7wAZ5herlyW/siPCSe8jG8yWfAA+OjjigBqnYQKBgQDvGJKB4UmE+myhqiA9
        pxOk4Nf1j7qlhQWMGn0AdViQlKaDyCj9fYt7r+pCy0WmOU4n5qufWE5DqJCOlWUP
        c2ruYZLosvwzjqwyKDBg8rQHmObmIKbwFMi6kZTZvtSXPiz+x6NYOv1Trj5AIzAk
        M1LqXZzeF8Dq5lR3wn9YAJUHhwKBgQDoGFxoI52jji0IyIM3ZMlegv4nIXcaV4bB
        0pXl6CC0YE4WzjGfhVo64YhqiRRtkF9DnnPcn0dALhJATNV/hzQNCo2YMiAt4HlY
        JeGZV98i01uE5up1tfMWGZRZcdjFSOB77wHUkvnJSSiYkLn6V6fna4YFwBS5iA6W
        z19WYxtcMQKBgGx6M45lzltc2wiGDVarhQgbUyAAc+hA8AFeyzP4CZSfPOUxXReV
        bEFT0O85FoKSIVmNGHSVNf0Qb3WhZlaaQPuinWqiOjaSFqIzBbAWrYN85dWnHtZy
        N5geEPCx2fY8qWF25i9TpDfhKDElReRGvOnESzWghVCN6+jh/7DHotXlAoGBAN1o
        N+bkawJWpCFn3r0eOXcesUM1CoCnlJcbxAGRonlQEc5xnycVOJFJCzDOWh13B1nj
        M5X4oCjainCqm1TP7tiuA4t37fi11iw/3unAyM1ZIUo0WuA11ZJ0jm+RSoBRWE0C
        IRXfq8fYMZDxJ2lo63S5vx2HMn4XDAvUAZfQbY5RAoGBANCpYjnzv2HF824KCEpV
        o9FPv/wqWwR3BpELucs13gCRuRQhvhNELKZ7Y6ktbw4839enutnm2ay0mKxHH6EJ
        GSuBXnMgcQ9CBzBDw2lqigvpwYS+/R24IE4E+sQCuPfgBJvbnn8lAkrv+UvK1s7d
        NGs0160FYl5jPAyQhXeaLN6r
        -----END PRIVATE KEY-----
        """

    static let otherRSAPublic = """
        -----BEGIN PUBLIC KEY-----
        MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA2MUFYYg9h/xmAmmoHwWk
        fOFRfwXHr+xV95jdXjVgSWUS37JYxkm3vP2ngEpMHGs+15WEr9m9hNxjSQ5usQif
        C78H80RZoOb/jcQufM6WGV9V7lkzfqF+8muCsW+B6+S6nQGz6FLTA2l+Wp/3+9aN
        Y7JiPKebSbZqR0UgymZYPQv5AZvBrfce/DXJsAG0xaz5sonuqaKbk8i+gmlKnhKq
        IrxQYZ0MPo2Y6Px2HsxjYAOKpSWfWan4+C+WcU1XEdEdvZGHF4wOGz2NtUKEB8VT
        a3A63F+MXRIx+lJ9Dl4QfmR3N+StuHYNvMtAeL9/cJMhG1HRFW7Cpgr4hFIIq3f0
        1wIDAQAB
        -----END PUBLIC KEY-----
        """

    static let p256Private = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgk65mglCJd85J0Pn2
        Ga2D9pJc8nbM/KQIK7Gy0laZwjWhRANCAAQpq4PlqTiqxuzh2f8qovK0V/MHAaSy
        i5jQv9kNMwsuQBavjYBBbanmlGOWRVHOYGqa68Esd+o84a++kD9/rSFt
        -----END PRIVATE KEY-----
        """

    static let p256Public = """
        -----BEGIN PUBLIC KEY-----
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEKauD5ak4qsbs4dn/KqLytFfzBwGk
        souY0L/ZDTMLLkAWr42AQW2p5pRjlkVRzmBqmuvBLHfqPOGvvpA/f60hbQ==
        -----END PUBLIC KEY-----
        """

    static let otherP256Private = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQginYNvWGH8vG7eEZR
        0GoedS/SRs1ihjmsBB+8VaNkLf2hRANCAARSf1LW2cYrSt7IUegdD/qoHNmAxT44
        wyMXS9fvf3rPOeusStYXuU/MOOAoBY53i1JhIQ8uyiy43cBEDOPUGCnn
        -----END PRIVATE KEY-----
        """

    static let otherP256Public = """
        -----BEGIN PUBLIC KEY-----
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEUn9S1tnGK0reyFHoHQ/6qBzZgMU+
        OMMjF0vX7396zznrrErWF7lPzDjgKAWOd4tSYSEPLsosuN3ARAzj1Bgp5w==
        -----END PUBLIC KEY-----
        """

    static let p384Private = """
        -----BEGIN PRIVATE KEY-----
        MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDCTGq4UUTShOoQfU6oW
        M9VzDssrSSwcbHdyFNIyderk4290uRRC678r4d9WDfpjvgyhZANiAAQ1avjzj3bf
        RRDSylVXD8m04L2eJqFG1E5vUZZMUtdkui+PG9VSuiATTbXcEgEFK8sw5xbesqDS
        l4nixClw90gd11dizsWS3+nNwtApGx2ep5pOwNFxH5/W5thCenzeUlM=
        -----END PRIVATE KEY-----
        """

    static let p384Public = """
        -----BEGIN PUBLIC KEY-----
        MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAENWr4849230UQ0spVVw/JtOC9niahRtRO
        b1GWTFLXZLovjxvVUrogE0213BIBBSvLMOcW3rKg0peJ4sQpcPdIHddXYs7Fkt/p
        zcLQKRsdnqeaTsDRcR+f1ubYQnp83lJT
        -----END PUBLIC KEY-----
        """

    static let p521Private = """
        -----BEGIN PRIVATE KEY-----
        MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIAYUmJSO3DRVSkV9WV
        KeAdEnlYNfJU03HuL8QBiWNE5vNL9JFdS0Q2ro9ubGL6Ul0Ky9kZwqixqjgVsJJv
        BvbxfJ6hgYkDgYYABAAeuo9L0+PckqJjOEUve5OOWzgB8HDS2kOLNIcs4/Qcp/Mp
        H+3cLWXKl/l47qSL5ZFd6fRdNYyOqwDTqJ7FX+ocQwAIMmQnzXKOXZ1sprmnsCAG
        CAnPJkjDyFbxesVL2sO59+yR2O6sb48hs5UEpOedxSp8WqWXdywqM5QQ5VZpxqIW
        9Q==
        -----END PRIVATE KEY-----
        """

    static let p521Public = """
        -----BEGIN PUBLIC KEY-----
        MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAHrqPS9Pj3JKiYzhFL3uTjls4AfBw
        0tpDizSHLOP0HKfzKR/t3C1lypf5eO6ki+WRXen0XTWMjqsA06iexV/qHEMACDJk
        J81yjl2dbKa5p7AgBggJzyZIw8hW8XrFS9rDuffskdjurG+PIbOVBKTnncUqfFql
        l3csKjOUEOVWacaiFvU=
        -----END PUBLIC KEY-----
        """

    /// 1024 bits.
    static let shortRSAPrivate = """
        -----BEGIN PRIVATE KEY-----
        MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBAJ8R/zVD4wrGfm+r
        xASAira0FhCS6zY8Z7o0rvdJ8TLct1qSA4Sz552MUW+NZIVZkZLIUdS6t57i41wM
        nbyngNBWBfwb+eUxDagARfBRm2TxMrvO6mtcvFELK9unuTiHLeqd1PYkJ7cfHvE4
        lijDx2CHzf/biEcQd81IGT3TUaGTAgMBAAECgYEAmEO05DrIgQ8CBkkICDs3DK6T
        lGfeKPtnWxGFDgdEj6hBBrxQC93d7qxbY4mX2CGlvDhuRFA65idO9VTKRMSeAsxG
        1TyiLC0NUGlEKmlXsPgIhGpkqfIOUacNwtpbImhMMhml99Ic+CaRMZH3XtM3BO1G
        cwwFWVvW8dyHDKHuFMECQQDRuiG1qFRf7D7sSBoIMGWgw02S2R6wvB4KlTc2ZF49
        SGmDUnVMp7aH8xPd2XmUUjkwjNCjGTOFv7FfFl/E2OLhAkEAwiqnYTlgJPsDL8eD
        0wJp5Kr5wdGx6cuIpfkPH0Vd+EUoBUb0XEHMPGSRDzS84uLp/TTZ20vl/cm4Bdm5
        aUEG8wJAFZxJVu+Wah/sx+oSDJ/4CN23A5etyuZHbi2797XV5BivDqIThieN7mpE
        tMpw9bCXRgJsiTHSlkiPXU3v5le24QJAaY1cfor9TD00p0Wz0QLv5AJaUdYX/LvL
        pkZ1xQ8lnXCi5/OBpaGTUIVvIjAOOt0WTLLtd7yT49pD8tJAbAqQpwJBAJsUF50D
        JdB8rmflgrEKIj4GjpyezgVmO5V7+ocEr8o0eCLVtukSk0mr/FXVTCuTy6cQXpm9
        YgeM8EBs9xrd5eg=
        -----END PRIVATE KEY-----
        """

    static let shortRSAPublic = """
        -----BEGIN PUBLIC KEY-----
        MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCfEf81Q+MKxn5vq8QEgIq2tBYQ
        kus2PGe6NK73SfEy3LdakgOEs+edjFFvjWSFWZGSyFHUuree4uNcDJ28p4DQVgX8
        G/nlMQ2oAEXwUZtk8TK7zuprXLxRCyvbp7k4hy3qndT2JCe3Hx7xOJYow8dgh83/
        24hHEHfNSBk901GhkwIDAQAB
        -----END PUBLIC KEY-----
        """

    static let secp256k1Public = """
        -----BEGIN PUBLIC KEY-----
        MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEPfgdI9zZ+ZKWGXJQ2LTCUXaAeq+Ro5Ym
        BysUjYDnGs0rURdIxbwWYyUg/bSvDPDtMmC62EknRWnP8eBVzKCysw==
        -----END PUBLIC KEY-----
        """

    static let ed25519Public = """
        -----BEGIN PUBLIC KEY-----
        MCowBQYDK2VwAyEAolp8yDurc3C/jroPASBE9lwgwEuGC+V9ZZ+VCPM4w6c=
        -----END PUBLIC KEY-----
        """

    /// The P-256 key behind a passphrase.
    static let encryptedPrivate = """
        -----BEGIN ENCRYPTED PRIVATE KEY-----
        MIH0MF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBBt6mPns6QCAGyeHv7k
        q9zIAgIIADAMBggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQUjhjvyccs8AhBUpd
        rYJeqwSBkE3WBHBDjhq3SQB8CLe8MUa7TT4kKOnH9p4U4d5B2vWfNZo89c7+KqQw
        ajWF1VBxZXzqNhSlpq824Ws5+khexYIxrLXsKXSmbiqC7VU7X/Ar7oqehDDbhl21
        /D3/fafU8S5R9imDyBPmWG27WoibdJY8dOOgiqPe74NfHGXYJnGEcjGq3A2czp/7
        pkdoT7KNrg==
        -----END ENCRYPTED PRIVATE KEY-----
        """
}

/// Public keys as issuers publish them (RFC 7517), with their coordinates as OpenSSL computed them.
enum TestJWK {
    static let rsaModulus = """
        m-R8mBmw0EgnVr6U8b73d4CvW4HU6tp98-NO_cPqEaf-y_gisQwXOmlPKzk-md6nvG6KuII78oSMWykhc50mopomuqJ-svaYW-ql\
        QyP1_6RL8iDXR0_ZTO6NfW1bXX89XVBM_R4eAzpYJctktDW-L6VRR_KiH3tYgiTKtdvvm2Q6XQgVWwy3cSgYnouAg1ra61wq-bno\
        dxneru4g37kPBP79HSRsRDUb4vr9somQiGPJzcTN54HeMe_Get_8qvQaYnsefoCEOlXXPDuAdOZeoQF1hxS9eue0-N4QaK4BJqXV\
        ggQLRINwn-ekxS1JxIaN7NUJYSL-TLSkQSJ5o2zO4w
        """
    static let otherRSAModulus = """
        2MUFYYg9h_xmAmmoHwWkfOFRfwXHr-xV95jdXjVgSWUS37JYxkm3vP2ngEpMHGs-15WEr9m9hNxjSQ5usQifC78H80RZoOb_jcQu\
        fM6WGV9V7lkzfqF-8muCsW-B6-S6nQGz6FLTA2l-Wp_3-9aNY7JiPKebSbZqR0UgymZYPQv5AZvBrfce_DXJsAG0xaz5sonuqaKb\
        k8i-gmlKnhKqIrxQYZ0MPo2Y6Px2HsxjYAOKpSWfWan4-C-WcU1XEdEdvZGHF4wOGz2NtUKEB8VTa3A63F-MXRIx-lJ9Dl4QfmR3\
        N-StuHYNvMtAeL9_cJMhG1HRFW7Cpgr4hFIIq3f01w
        """
    static let shortRSAModulus = """
        nxH_NUPjCsZ-b6vEBICKtrQWEJLrNjxnujSu90nxMty3WpIDhLPnnYxRb41khVmRkshR1Lq3nuLjXAydvKeA0FYF_Bv55TENqABF\
        8FGbZPEyu87qa1y8UQsr26e5OIct6p3U9iQntx8e8TiWKMPHYIfN_9uIRxB3zUgZPdNRoZM
        """
    static let p256 = (
        x: "KauD5ak4qsbs4dn_KqLytFfzBwGksouY0L_ZDTMLLkA", y: "Fq-NgEFtqeaUY5ZFUc5gaprrwSx36jzhr76QP3-tIW0"
    )
    static let otherP256 = (
        x: "Un9S1tnGK0reyFHoHQ_6qBzZgMU-OMMjF0vX7396zzk", y: "66xK1he5T8w44CgFjneLUmEhDy7KLLjdwEQM49QYKec"
    )
    static let p384 = (
        x: "NWr4849230UQ0spVVw_JtOC9niahRtROb1GWTFLXZLovjxvVUrogE0213BIBBSvL",
        y: "MOcW3rKg0peJ4sQpcPdIHddXYs7Fkt_pzcLQKRsdnqeaTsDRcR-f1ubYQnp83lJT"
    )
    static let p521 = (
        x: "AB66j0vT49ySomM4RS97k45bOAHwcNLaQ4s0hyzj9Byn8ykf7dwtZcqX-XjupIvlkV3p9F01jI6rANOonsVf6hxD",
        y: "AAgyZCfNco5dnWymuaewIAYICc8mSMPIVvF6xUvaw7n37JHY7qxvjyGzlQSk553FKnxapZd3LCozlBDlVmnGohb1"
    )
    static let secp256k1 = (
        x: "PfgdI9zZ-ZKWGXJQ2LTCUXaAeq-Ro5YmBysUjYDnGs0", y: "K1EXSMW8FmMlIP20rwzw7TJguthJJ0Vpz_HgVcygsrM"
    )
}
